import os
import shutil
import uuid

from mod_python import apache, util

DIRECTORY = "/srv/uploads"


def handler(req):
    form = util.FieldStorage(req)
    photo = form.get("photo")
    if not isinstance(photo, util.Field) or not photo.filename:
        return apache.HTTP_BAD_REQUEST
    path = os.path.join(DIRECTORY, uuid.uuid4().hex)
    with open(path, "xb") as kept:
        shutil.copyfileobj(photo.file, kept, 1 << 20)
    req.write(f"{os.path.getsize(path)} bytes of {photo.filename!r}\n")
    return apache.OK
