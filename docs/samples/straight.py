import tempfile

from mod_python import apache, util

DIRECTORY = "/srv/uploads"


def keep(filename):
    return tempfile.NamedTemporaryFile("w+b", dir=DIRECTORY, prefix="new-", delete=False)


def handler(req):
    form = util.FieldStorage(req, file_callback=keep)
    for field in form.list:
        if isinstance(field, util.Field):
            req.write(f"{field.filename!r} is {field.file.name}\n")
    return apache.OK
