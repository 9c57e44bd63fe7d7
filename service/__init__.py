"""The service: a gallery embedded by the teacher, searched by vectors from students."""
