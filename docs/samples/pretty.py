import json


def outputfilter(filter):
    if filter.req.content_type != "application/json":
        filter.disable()
        return
    if not hasattr(filter, "parts"):
        filter.parts = []
    while data := filter.read():
        filter.parts.append(data)
    if data is None:
        document = json.loads(b"".join(filter.parts))
        filter.write(json.dumps(document, indent=2) + "\n")
        filter.close()
