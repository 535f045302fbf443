"""Contract tests: documented exchanges as data, compared with the responses of any server.

Each module uses those above it:

    terminal        what is printed, with everything escaped
    cases           a documented exchange, and the TOML file that it is stored in
    placeholders    values that vary: `<jwt>` in a response, a documented client id in a request
    options         the options of the commands and of the suite
    client          sending requests in process or over HTTP, and reading a server's metadata
    compare         where a response differs from its case
    signatures      whether the tokens of a response are signed by published keys
    targets         what is tested, and what a case needs there
    runner          running cases, and the report
    redact          which parts of an exchange may be written down
    recorder        a proxy that writes cases
    cli             `fake-oauth check` and `fake-oauth record`
    conftest        the options of `pytest --pyargs fake_oauth.contract`
    test_contract   the cases as tests
"""
