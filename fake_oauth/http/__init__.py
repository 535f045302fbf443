"""The provider over HTTP.

app                       one request: read, journal, script, endpoint, response
endpoints  login          the ENDPOINTS table; the login page
request                   parameters and credentials
listener  connection      a socket and its threads; they know nothing of OAuth
"""
