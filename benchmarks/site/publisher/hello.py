"""What the publisher serves."""


def say(req):
    return "Hello!"
