"""The authorization server's rules. No module in this package imports HTTP.

Parameters come in as a mapping of strings. Results go out as plain data or as an `OAuthError`.
Modules import downwards only:

    grants  authorize  introspection    what a request gets: GRANTS and the other rules
    bearer  revocation  admin
    issuing                             grants, codes, and tokens are made here
    realm                               one issuer: its clients, users, keys, clock, and store
    store  sessions                     what was issued and may still be used; logged-in browsers
    dialect                             `Dialect`: what one kind of server does its own way
    tokens                              token sets, and JWTs byte by byte
    request  keys  model  policies      values
    errors  clock  ids
"""
