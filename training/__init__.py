"""Training: teachers, and students that learn to speak a teacher's space."""
