"""The authorization server itself: its rules.

Nothing in this package knows HTTP. What a client asks comes in as an `Ask`, answers go out
as plain data or as an `OAuthError`. Modules import downwards only:

    grants                              the rules
    realm                               one issuer and all that it knows
    tokens                              assembling and signing tokens, to the documented byte
    keys   ledger                       what signs; what was issued and may still be spent
    asking                              what a client asks, the transport stripped off
    errors   clock   ids   parties      who may be refused, what time it is, names for things
"""
