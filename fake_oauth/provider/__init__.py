"""The authorization server itself: its rules.

Nothing in this package knows HTTP. What a client asks comes in as an `Ask`, answers go out
as plain data or as an `OAuthError`. Modules import downwards only:

    grants                              the token endpoint's rules and the GRANTS table
    authorize   bearer   otp            codes; userinfo and revocation; one-time passwords
    checks                              what more than one rule checks
    realm                               one issuer and all that it knows
    sessions   tokens                   browsers at the login page; tokens, to the documented byte
    keys   ledger                       what signs; what was issued and may still be spent
    asking                              what a client asks, the transport stripped off
    errors   clock   ids   parties      who may be refused, what time it is, names for things
"""
