"""Spellings of paths: those that must not lead to a denied path, and those that are allowed."""

DENIED = (b"/props", b"/slots", b"/lora-adapters", b"/metrics", b"/admin/users")
FROM = b"/v1/completions"  # allowed; attackers begin there and climb


def climb(up, slash, target, depth=2):
    return FROM + slash + (up + slash) * depth + target.lstrip(b"/")


def spellings(path):
    """Ways to write `path`, or something that a careless reader takes for it."""
    name = path.lstrip(b"/")
    first = b"%%%02x" % name[0]
    every = b"".join(b"%%%02X" % byte for byte in name)
    out = [
        path, path + b"/", path + b"//", path + b"/.", path + b"/./", path + b"/x/..",
        b"/" + path, b"//" + path, b"/." + path, b"/./" + path, b"/./." + path, b"/.." + path,
        b"/../.." + path, b"/v1/.." + path, b"/v1/./.." + path, b"/v1//.." + path,
        b"/x/y/../.." + path, b"/public/.." + path, b"/public/../v1/.." + path,
        # escapes
        b"/" + first + name[1:], b"/" + every, b"/" + first.upper() + name[1:],
        b"/%25" + first[1:] + name[1:], b"/%2525" + first[1:] + name[1:], b"/%2e" + path,
        b"/%2E%2e" + path, b"/%2f" + name, b"/%2F" + name, b"/%5c" + name, b"/%5C" + name,
        b"%2f" + name, b"%2F" + name, path + b"%2f", path + b"%2f..", path + b"%2e",
        path + b"%20", path + b"%09", path + b"%0a", path + b"%0d%0a", path + b"%00",
        path + b"%00" + FROM, path + b"%00.json", path + b"%23", path + b"%3f", path + b"%3F" + FROM,
        path + b"%", path + b"%2", path + b"%zz", path + b"%u0041", b"/%20" + name, b"/%09" + name,
        path + b"%ff", path + b"%c0%80", path + b"%ef%bb%bf", path + b"%e2%80%8b",
        # other letters, other ends
        path.upper(), path.title(), path + b"?", path + b"?x=" + FROM, path + b"#", path + b"#" + FROM,
        path + b";", path + b";x", path + b";jsessionid=1", path + b";/" + FROM, b"/;" + path,
        b"/;x=y" + path, b"/.;" + path, b"/..;" + path, path + b"%3b", path + b"%3Bx",
        path + b".json", path + b".", path + b"..", path + b"~", path + b"/*",
        # backslashes and other bytes
        b"\\" + name, b"/\\" + name, b"\\\\" + name, b"/v1\\..\\" + name, b"/\t" + name,
        path + b"\x00", path + b"\x0b", path + b"\x7f", path + b"\xc3\xa9", path + b"\xff",
        # forms of a target
        name, b"*", b"origin.shop" + path, b"http://origin.shop" + path, b"HTTP://origin.shop" + path,
        b"https://origin.shop" + path, b"http://origin.shop/" + path, b"http://origin.shop:80" + path,
        b"http://evil.example" + path, b"http://origin.shop@evil.example" + path,
        b"http://user:x@origin.shop" + path, b"http:" + path, b"http://" + path, b"http://origin.shop",
        b"http://origin.shop?" + path, b"http://origin.shop/v1/completions/../.." + path,
        b"http://origin.shop\\" + name, b"//origin.shop" + path, b"ftp://origin.shop" + path,
        b"origin.shop:80",
    ]
    for up in (b"..", b"%2e%2e", b"%2E%2E", b".%2e", b"%2e.", b"..;", b"..;x=y", b"..%3b",
               b"..%00", b"..%09", b"..%0d", b"..%20", b"%252e%252e", b"%c0%ae%c0%ae",
               b"%e0%80%ae%e0%80%ae", b"%uff0e%uff0e", b"....", b"...", b"..\x00", b"..\t"):
        for slash in (b"/", b"//", b"%2f", b"%2F", b"\\", b"%5c", b"%252f", b"%c0%af", b"%e0%80%af",
                      b"/./", b"%2f%2f"):
            out.append(climb(up, slash, path))
    out.append(FROM + b"%2f..%2f.." + path)
    out.append(FROM + b"/..%2f.." + path)
    out.append(FROM + b"/..//.." + path)
    out.append(FROM + b"//..//../" + path)
    out.append(FROM + b"/....//....//" + name)
    return out


def denied():
    """(path, spelling) of all that must not get through, each spelling once."""
    seen = set()
    for path in DENIED:
        for spelling in spellings(path):
            if spelling not in seen:
                seen.add(spelling)
                yield path, spelling


# What a good client may write, and the path that policy, log and application then see.
ALLOWED = (
    (b"/v1/models", b"/v1/models"),
    (b"//v1/models", b"/v1/models"),
    (b"/v1//models", b"/v1/models"),
    (b"/v1/./models", b"/v1/models"),
    (b"/v1/x/../models", b"/v1/models"),
    (b"/v1/%6dodels", b"/v1/models"),
    (b"/v1/%6Dode%6cs", b"/v1/models"),
    (b"/%76%31/models", b"/v1/models"),
    (b"/v1\\models", b"/v1/models"),
    (b"/props/../v1/models", b"/v1/models"),
    (b"/../v1/models", b"/v1/models"),
    (b"/v1/models?a=/props&b=../../props", b"/v1/models?a=/props&b=../../props"),
    (b"/v1/models?%2e%2e/%2fprops", b"/v1/models?%2e%2e/%2fprops"),
    (b"http://origin.shop/v1/models", b"/v1/models"),
    (b"/public/a", b"/public/a"),
    (b"/public/x/../a", b"/public/a"),
)
