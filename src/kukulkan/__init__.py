"""The `kukulkan` command: it serves a directory with Apache, and configures Apache for this installation.

Nothing that runs inside Apache is here, except `kukulkan.site`, the handler
of directories served by the command.
"""
