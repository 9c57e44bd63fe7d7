"""The student on this device: signed, released, fetched, kept, rolled back."""
