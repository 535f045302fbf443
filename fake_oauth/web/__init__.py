"""The provider over HTTP.

app                            route, run, answer, journal
endpoints                      the ENDPOINTS table
site                           a realm in its dialect, and where its endpoints are
pages                          the login page
reading   writing              parameters and credentials in; replies out, to the byte

listener   connection   chunks a socket and the threads behind it; know no OAuth
tls                            a certificate for one server
"""
