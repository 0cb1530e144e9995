import re

CARD = re.compile(rb"\b(?:\d{4}[ -]?){3}\d{4}\b")


def outputfilter(filter):
    while line := filter.readline(10_000):
        filter.write(CARD.sub(b"[card]", line))
    if line is None:
        filter.close()
