"""The provider over HTTP.

listener                      a socket and the threads behind it; knows no OAuth
app                           route, run, answer, journal
endpoints                     the ENDPOINTS table
reading   writing             parameters and credentials in; replies out, to the byte
"""
