"""A box that watches: each photograph embedded once, searched when the server can be reached."""
