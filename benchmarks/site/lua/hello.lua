function handle(r)
    r.content_type = "text/plain"
    r:write("Hello!")
    return apache2.OK
end
