"""What page.py imports."""

HELLO = "Hello!"
