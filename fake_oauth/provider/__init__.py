"""The authorization server itself: its rules.

Nothing in this package knows HTTP. What a client asks comes in as an `Ask`, answers go out
as plain data or as an `OAuthError`. Modules import downwards only:

    grants   introspection              the token endpoint's rules and the GRANTS table; what a
                                        token is worth
    authorize   bearer   otp            codes; userinfo and revocation; one-time passwords
    refreshing   issuing   moves        how tokens are renewed, made, and moved behind one's back
    checks                              what more than one rule checks
    realm                               one issuer and all that it knows
    ledger   shelves   records          what was issued and may still be spent
    sessions   tokens                   browsers at the login page; tokens, to the documented byte
    keys   resource   outbox            what signs; what is protected; what was "sent"
    asking                              what a client asks, the transport stripped off
    conventions   terms   policies      what servers do differently: codes, texts, lifetimes
    errors   clock   ids   parties      who may be refused, what time it is, names for things
    lineage                             which token came of which
"""
