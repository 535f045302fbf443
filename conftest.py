"""What every test file shares."""

pytest_plugins = ["pytester"]
