from mod_python import apache


class Page:
    def __init__(self, req):
        self.title = req.uri

    def show(self, req):
        req.content_type = "text/plain"
        req.write(self.title)
        return apache.OK
