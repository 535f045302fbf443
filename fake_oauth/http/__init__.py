"""The provider over HTTP.

app                       one request: read, journal, script, endpoint, response
endpoints  login          the ENDPOINTS table; the login page
request                   parameters and credentials
rendering  received       a reply as bytes; what a client gets of it, if a fault damages it
listener  connection      a socket and its threads; they know nothing of OAuth
"""
