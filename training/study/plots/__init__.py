"""The pictures of the page of results."""
