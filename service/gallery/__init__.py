"""The gallery as storage: SQLite is the truth, FAISS generations are projections of it."""
