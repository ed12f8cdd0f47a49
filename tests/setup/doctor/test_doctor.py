"""The doctor finds planted faults, names what mends each, changes nothing and shows no key."""

import os
import subprocess
import sys
from contextlib import closing

import pytest

from tests.support.doctor_world import KEY, OURS, SAYS, US, Home, answering
from tests.support.processes import LIMIT_SECONDS

LOGIN = f"{US} login"
CODEX = f"{US} install codex"
CLAUDE = f"{US} install claude-code"
CURSOR = f"{US} install cursor"
CLAUDE_ANEW = f"{US} uninstall claude-code && {CLAUDE}"
QUICKLY = ("--wait", "2")
HELD_BACK = 'env_vars = ["RUNAPI_BASE_URL", "RUNAPI_API_KEY"]'


def test_a_healthy_entry_is_fine(home: Home) -> None:
    home.claude()
    told = home.doctor(status=0)
    assert told.severities() == {"fine"}
    assert "15 tools" in told.one("start", "starts in")["what"]
    assert "RUNAPI_API_KEY in the environment, accepted; $" in told.one("key", "accepted")["what"]


def test_without_a_host_the_program_itself_is_looked_at(home: Home) -> None:
    told = home.doctor(status=0)
    assert told.one("hosts", "no host")["mend"] == f"{US} install"
    assert told.one("start", "starts in")["about"] == "This program"


def test_a_host_that_was_named_and_has_no_entry(home: Home) -> None:
    told = home.doctor("codex")
    assert told.one("entry", "Codex has no entry")["mend"] == CODEX


# The key.


def test_no_key(home: Home) -> None:
    home.claude()
    del home.environ["RUNAPI_API_KEY"]
    found = home.doctor().one("key", "there is no API key")
    assert (found["severity"], found["mend"]) == ("problem", LOGIN)


def test_no_key_for_one_host_of_two(home: Home) -> None:
    home.claude()
    home.cursor({**OURS, "env": {"RUNAPI_API_KEY": KEY}})
    del home.environ["RUNAPI_API_KEY"]
    found = home.doctor().one("key", "no API key is in the environment that Claude Code gives")
    assert (found["severity"], found["about"], found["mend"]) == ("problem", "Claude Code", LOGIN)


def test_something_that_is_no_key(home: Home) -> None:
    home.claude()
    home.environ["RUNAPI_API_KEY"] = "my key"
    found = home.doctor().one("key", "not an API key")
    assert found["mend"] == f"unset RUNAPI_API_KEY && {LOGIN}"


@pytest.mark.parametrize("mode", ["environment", "file"])
def test_a_key_that_is_not_accepted(home: Home, mode: str) -> None:
    home.claude()
    rejected = "live-" + KEY.removeprefix("sandbox-")
    if mode == "environment":
        home.environ["RUNAPI_API_KEY"] = rejected
    else:
        del home.environ["RUNAPI_API_KEY"]
        home.config({"api_key": rejected})
    found = home.doctor().one("key", "does not accept")
    unset = "unset RUNAPI_API_KEY && " if mode == "environment" else ""
    assert found["mend"] == unset + LOGIN


def test_a_key_in_an_entry_that_is_not_accepted(home: Home) -> None:
    home.claude({**OURS, "env": {"RUNAPI_API_KEY": "live-5f1e77c2ab"}})
    told = home.doctor()
    found = told.one("key", "RUNAPI_API_KEY in Claude Code's file")
    assert found["mend"] == f"{CLAUDE_ANEW} && {LOGIN}"
    assert "5f1e77c2ab" not in told.text


def test_a_template_that_nothing_fills_in(home: Home) -> None:
    del home.environ["RUNAPI_API_KEY"]
    home.claude({**OURS, "env": {"RUNAPI_API_KEY": "${RUNAPI_API_KEY}"}})
    told = home.doctor()
    assert told.one("template", "RUNAPI_API_KEY in this file")["mend"] == LOGIN


def test_a_placeholder_beside_a_key_elsewhere_is_only_a_note(home: Home) -> None:
    del home.environ["RUNAPI_API_KEY"]
    home.config({"api_key": KEY})
    home.claude({**OURS, "env": {"RUNAPI_API_KEY": "YOUR_API_KEY"}})
    told = home.doctor(status=0)
    assert told.one("template", "RUNAPI_API_KEY in this file")["mend"] == CLAUDE_ANEW
    assert told.severities() == {"fine", "note"}


def test_what_is_no_key_and_stands_before_one(home: Home) -> None:
    home.config({"api_key": KEY})
    home.claude()
    home.environ["RUNAPI_API_KEY"] = "my key"
    found = home.doctor(status=0).one("key", "not an API key")
    assert (found["severity"], found["mend"]) == ("warning", "unset RUNAPI_API_KEY")


def test_a_broken_config_file_beside_a_key_elsewhere(home: Home) -> None:
    home.claude()
    path = home.config('{"api_key": ')
    found = home.doctor(status=0).one("key", "is not valid JSON")
    assert (found["severity"], found["mend"]) == ("warning", f"${{EDITOR:-vi}} {path}")


def test_a_key_that_codex_does_not_hand_on(home: Home) -> None:
    home.codex('env_vars = ["RUNAPI_BASE_URL"]')
    found = home.doctor().one("key", "RUNAPI_API_KEY is set in this shell, and Codex")
    assert found["mend"] == CODEX


def test_a_key_that_a_graphical_host_does_not_have(home: Home) -> None:
    home.cursor({**OURS, "env": {"RUNAPI_BASE_URL": home.environ["RUNAPI_BASE_URL"]}})
    found = home.doctor().one("key", "RUNAPI_API_KEY is set in this shell, and Cursor")
    assert found["mend"] == CURSOR


def test_a_key_in_clear_text(home: Home) -> None:
    home.claude({**OURS, "env": {"RUNAPI_API_KEY": KEY}})
    found = home.doctor(status=0).one("secret", "clear text")
    assert (found["severity"], found["mend"]) == ("warning", f"{CLAUDE_ANEW} && {LOGIN}")


def test_a_key_in_clear_text_in_a_file_that_is_committed(home: Home) -> None:
    entry = {**OURS, "env": {"RUNAPI_API_KEY": KEY}}
    home.write("work/fox/.mcp.json", {"mcpServers": {"runapi": entry}})
    found = home.doctor().one("secret", "clear text")
    assert (found["severity"], found["scope"]) == ("problem", "project")
    assert "uninstall claude-code --scope project" in found["mend"]


def test_a_key_that_the_host_asks_for_is_not_missed(home: Home) -> None:
    env = {"RUNAPI_BASE_URL": home.environ["RUNAPI_BASE_URL"], "RUNAPI_API_KEY": "${input:key}"}
    home.write(".config/Code/User/mcp.json", {"servers": {"runapi": {**OURS, "env": env}}})
    assert home.doctor(status=0).one("key", "asks its person for the key")["severity"] == "note"


def test_a_config_file_that_is_broken(home: Home) -> None:
    home.claude()
    del home.environ["RUNAPI_API_KEY"]
    path = home.config('{"api_key": ')
    assert home.doctor().one("key", "is not valid JSON")["mend"] == f"${{EDITOR:-vi}} {path}"


def test_a_config_file_that_others_can_read(home: Home) -> None:
    home.claude()
    path = home.config({"api_key": KEY}, mode=0o644)
    assert home.doctor(status=0).one("secret", "open to other users")["mend"] == f"chmod 600 {path}"


def test_an_account_without_credit(home: Home) -> None:
    home.claude()
    with answering({"balance_cents": 0}) as home.environ["RUNAPI_BASE_URL"]:
        found = home.doctor(status=0).one("credit", "no credit")
    assert found["mend"] == "add credit at https://runapi.ai"


# The start.


def test_a_program_that_was_removed(home: Home) -> None:
    home.claude({"command": "/opt/gone/python", "args": ["-m", "runapi_mcp"]})
    found = home.doctor().one("command", "/opt/gone/python")
    assert (found["severity"], found["mend"]) == ("problem", CLAUDE)


def test_a_program_that_only_the_shell_finds(home: Home) -> None:
    uvx = home.write("bin/uvx", "#!/bin/sh\n")
    uvx.chmod(0o755)
    home.environ["PATH"] = f"{uvx.parent}:/usr/bin:/bin"
    home.cursor({"command": "uvx", "args": ["runapi-mcp"]})
    found = home.doctor().one("command", "Cursor does not find uvx")
    assert "not on the PATH that the host has" in found["why"]
    assert found["mend"] == CURSOR


def test_a_program_that_is_not_executable(home: Home) -> None:
    script = home.write("bin/runapi-mcp", "#!/bin/sh\n")
    home.claude({"command": str(script)})
    assert home.doctor().one("command", "is not executable")["mend"] == CLAUDE


def test_a_directory_that_is_not_there(home: Home) -> None:
    home.claude({**OURS, "cwd": "/opt/gone"})
    assert home.doctor().one("directory", "/opt/gone")["mend"] == CLAUDE_ANEW


def test_a_server_that_ends_at_once(home: Home) -> None:
    words = f"'no module, and the key is {KEY} or {KEY[10:]}'"
    home.claude(home.program(f"sys.exit({words})"))
    found = home.doctor().one("start", "ends at once with status 1: no module")
    assert found["mend"] == CLAUDE


def test_a_setting_that_keeps_the_server_from_starting(home: Home) -> None:
    home.claude({**OURS, "env": {"RUNAPI_VARIANTS": "ultra"}})
    found = home.doctor().one("start", "RUNAPI_VARIANTS names ultra")
    assert found["mend"] == CLAUDE_ANEW


def test_a_setting_that_cannot_be_used(home: Home) -> None:
    home.claude()
    home.environ["RUNAPI_MAX_COST_PER_CALL"] = "much"
    found = home.doctor().one("settings", "RUNAPI_MAX_COST_PER_CALL")
    assert found["mend"] == "unset RUNAPI_MAX_COST_PER_CALL"


def test_a_limit_on_money_that_codex_does_not_hand_on(home: Home) -> None:
    home.environ["RUNAPI_DAILY_BUDGET"] = "2"
    home.codex(HELD_BACK)
    found = home.doctor(status=0).one("settings", "RUNAPI_DAILY_BUDGET is set in this shell")
    assert found["mend"] == f'{CODEX} --env "RUNAPI_DAILY_BUDGET=$RUNAPI_DAILY_BUDGET"'


def test_a_start_that_takes_longer_than_the_host_waits(home: Home) -> None:
    home.codex("startup_timeout_sec = 0.001", HELD_BACK)
    found = home.doctor().one("start", "and Codex waits 0.001 s")
    assert found["mend"] == f"{US} uninstall codex && {CODEX}"


def test_a_server_that_hangs(home: Home) -> None:
    home.claude(home.program("time.sleep(60)"))
    told = home.doctor(*QUICKLY)
    found = told.one("start", "does not answer within 2 s, and Claude Code waits 30 s")
    assert found["mend"] == CLAUDE_ANEW


def test_many_servers_that_hang_are_all_told_and_ended(home: Home) -> None:
    hangs = home.program("import subprocess", "subprocess.run(['sleep', '77'])")
    for number, path in enumerate(
        (".cursor/mcp.json", ".kiro/settings/mcp.json", ".lmstudio/mcp.json")
    ):
        entry = {**hangs, "env": {"NUMBER": str(number)}}
        home.write(path, {"mcpServers": {"runapi": entry}})
    told = home.doctor(*QUICKLY)
    assert len([found for found in told.findings if "does not answer" in found["what"]]) >= 3
    assert not _runs("sleep 77")


def test_many_servers_are_started_together(home: Home) -> None:
    paths = (".cursor/mcp.json", ".kiro/settings/mcp.json", ".lmstudio/mcp.json")
    waits = (
        "import os, pathlib",
        "begun = pathlib.Path(sys.argv[0]).parent / 'begun'",
        "begun.mkdir(exist_ok=True)",
        "(begun / os.environ['NUMBER']).touch()",
        f"while len(list(begun.iterdir())) < {len(paths)}: time.sleep(0.02)",
    )
    entry = home.program(*waits, *SAYS, "serve('runapi-mcp', '0.0.9')")
    for number, path in enumerate(paths):
        servers = {"runapi": {**entry, "env": {"NUMBER": str(number)}}}
        home.write(path, {"mcpServers": servers})
    (home.path / "bin" / "begun").mkdir()
    told = home.run("doctor", "--json")
    assert told.text.count("starts runapi-mcp 0.0.9") == len(paths)


def test_a_server_that_floods(home: Home) -> None:
    home.claude(home.program("while True: print('x' * 1000)"))
    assert home.doctor().one("protocol", "floods")["mend"] == CLAUDE_ANEW


def test_a_server_that_floods_without_a_line(home: Home) -> None:
    home.claude(home.program("while True: sys.stdout.write('x' * 100_000)"))
    assert home.doctor().one("protocol", "floods")["mend"] == CLAUDE_ANEW


def test_a_server_that_prints_what_is_no_protocol(home: Home) -> None:
    chatter = (
        "print('Welcome!', flush=True)",
        "import runpy",
        "runpy.run_module('runapi_mcp', run_name='__main__')",
    )
    home.claude(home.program("sys.argv = sys.argv[:1]", "sys.path.pop(0)", *chatter))
    found = home.doctor().one("protocol", "prints on stdout")
    assert (found["severity"], found["mend"]) == ("problem", CLAUDE_ANEW)


def test_another_program_that_answers(home: Home) -> None:
    home.claude(home.program(*SAYS, "serve('weather', '1.0')"))
    assert home.doctor().one("start", "another program answers")["mend"] == CLAUDE_ANEW


def test_an_older_version(home: Home) -> None:
    home.claude(home.program(*SAYS, "serve('runapi-mcp', '0.0.9')"))
    found = home.doctor(status=0).one("version", "Claude Code starts runapi-mcp 0.0.9")
    assert (found["severity"], found["mend"]) == ("warning", CLAUDE)


def test_a_server_without_tools(home: Home) -> None:
    home.claude(home.program(*SAYS, "serve('runapi-mcp', '0.0.9', ())"))
    assert home.doctor().one("tools", "no tools")["mend"] == CLAUDE_ANEW


def test_an_address_where_nobody_serves(home: Home) -> None:
    home.claude({"type": "http", "url": "http://127.0.0.1:9/mcp?key=sandbox-hidden-here"})
    told = home.doctor(*QUICKLY)
    found = told.one("address", "http://127.0.0.1:9/mcp does not answer")
    assert found["mend"] == f"{US} serve --http --port 9"
    assert "hidden-here" not in told.text


def test_an_address_that_is_not_encrypted(home: Home) -> None:
    home.claude({"type": "http", "url": "http://draw.invalid/mcp"})
    found = home.doctor(*QUICKLY).one("address", "not https")
    assert found["mend"] == f"{CLAUDE} --http https://draw.invalid/mcp"


def test_an_address_of_this_machine_needs_no_encryption(home: Home) -> None:
    home.claude({"type": "http", "url": "http://127.0.0.2:9/mcp"})
    found = home.doctor(*QUICKLY).one("address", "http://127.0.0.2:9/mcp")
    assert found["mend"] == f"{US} serve --http --host 127.0.0.2 --port 9"


def test_a_server_at_an_address(home: Home) -> None:
    serving = subprocess.Popen(
        [sys.executable, "-m", "runapi_mcp", "serve", "--http", "--port", "0"],
        env=home.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stderr is not None
        address = serving.stderr.readline().split()[2]
        home.claude({"type": "http", "url": address})
        assert "14 tools" in home.doctor(status=0).one("start", "answers in")["what"]
        assert_no_key_is_no_missing_server(home, address)
    finally:
        serving.kill()
        serving.communicate(timeout=LIMIT_SECONDS)


def assert_no_key_is_no_missing_server(home: Home, address: str) -> None:
    """Hosts that would send a key that is not there: the server is found, and the key missed."""
    del home.environ["RUNAPI_API_KEY"]
    sent = {"Authorization": "Bearer ${RUNAPI_API_KEY}"}
    home.claude({"type": "http", "url": address, "headers": sent})
    of_cursor = {"Authorization": "Bearer ${env:RUNAPI_API_KEY}"}
    home.cursor({"url": address, "headers": of_cursor})
    codex = f'[mcp_servers.runapi]\nurl = "{address}"\nbearer_token_env_var = "RUNAPI_API_KEY"\n'
    home.write(".codex/config.toml", codex)
    told = home.doctor(status=0)
    for title in ("Claude Code", "Cursor", "Codex"):
        found = told.one("key", f"no API key is in the environment of {title}, which would send")
        assert found["mend"] == f"set RUNAPI_API_KEY where {title} is started"
        assert found["severity"] == "warning"
    assert [each["severity"] for each in told.findings if each["check"] == "start"] == ["fine"] * 3


# Network, proxy, certificates, clock.


def test_a_runapi_that_does_not_answer(home: Home) -> None:
    home.claude()
    home.environ["RUNAPI_BASE_URL"] = "http://127.0.0.1:9"
    found = home.doctor().one("network", "http://127.0.0.1:9 does not answer")
    assert found["mend"] == "unset RUNAPI_BASE_URL"


def test_a_runapi_in_trouble(home: Home) -> None:
    home.claude()
    with answering({}, status=503) as home.environ["RUNAPI_BASE_URL"]:
        assert "503" in home.doctor().one("network", "RunAPI is having trouble")["what"]


def test_a_runapi_that_is_not_encrypted(home: Home) -> None:
    home.claude()
    home.environ["RUNAPI_BASE_URL"] = "http://runapi.invalid"
    found = home.doctor().one("address", "http://runapi.invalid is not https")
    assert found["mend"] == "unset RUNAPI_BASE_URL"


def test_a_proxy_that_is_dead(home: Home) -> None:
    home.claude()
    home.environ |= {
        "RUNAPI_BASE_URL": "https://runapi.invalid",
        "HTTPS_PROXY": "http://me:secret-word@127.0.0.1:9",
    }
    told = home.doctor()
    assert told.one("proxy", "through the proxy that HTTPS_PROXY")["mend"] == "unset HTTPS_PROXY"
    assert "secret-word" not in told.text


def test_a_proxy_that_codex_does_not_hand_on(home: Home) -> None:
    home.codex(HELD_BACK)
    home.environ |= {
        "RUNAPI_BASE_URL": "https://runapi.invalid",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    found = home.doctor().one("proxy", "HTTPS_PROXY is set in this shell, and Codex")
    assert found["mend"] == f"{CODEX} --env HTTPS_PROXY"


def test_a_proxy_that_a_host_without_references_does_not_have(home: Home) -> None:
    entry = {**OURS, "env": {"RUNAPI_API_KEY": KEY}}
    home.write(".kiro/settings/mcp.json", {"mcpServers": {"runapi": entry}})
    home.environ["HTTPS_PROXY"] = "http://127.0.0.1:9"
    found = home.doctor("kiro").one("proxy", "HTTPS_PROXY is set in this shell, and Kiro")
    assert found["mend"] == f'{US} install kiro --env "HTTPS_PROXY=$HTTPS_PROXY"'


def test_certificates_that_are_not_there(home: Home) -> None:
    home.claude()
    home.environ["SSL_CERT_FILE"] = "/opt/gone/ca.pem"
    found = home.doctor().one("certificates", "SSL_CERT_FILE names /opt/gone/ca.pem")
    assert found["mend"] == "unset SSL_CERT_FILE"


def test_a_certificate_that_is_not_trusted(home: Home) -> None:
    home.claude()
    with answering({}, certificate=home.path / "own.pem") as home.environ["RUNAPI_BASE_URL"]:
        found = home.doctor().one("certificates", "is not trusted here")
    assert found["mend"] == "export SSL_CERT_FILE=/path/to/your/ca.pem"


def test_a_clock_that_is_wrong(home: Home) -> None:
    home.claude()
    with answering({"balance_cents": 500}, ahead_seconds=7300) as home.environ["RUNAPI_BASE_URL"]:
        found = home.doctor().one("clock", "this machine's clock is 2 hours behind RunAPI's")
    assert "timedatectl" in found["mend"] or sys.platform != "linux"


# The disk.


def test_a_ledger_of_a_newer_version(home: Home) -> None:
    import sqlite3

    home.claude()
    path = home.write("ledger.sqlite3", "")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    home.environ["RUNAPI_LEDGER"] = str(path)
    found = home.doctor().one("ledger", "of a newer runapi-mcp")
    assert found["mend"] == "uvx runapi-mcp@latest install"


def test_a_ledger_that_is_none(home: Home) -> None:
    home.claude()
    path = home.write("ledger.sqlite3", "not a ledger " * 100)
    home.environ["RUNAPI_LEDGER"] = str(path)
    assert home.doctor().one("ledger", "damaged")["mend"] == f"mv {path} {path}.old"


def test_a_ledger_that_a_server_has_open_is_counted_with_its_newest_calls(home: Home) -> None:
    from runapi_mcp.orders.ledger import Entry
    from runapi_mcp.orders.ledger.sqlite import queries
    from runapi_mcp.orders.ledger.sqlite.database import Database

    home.claude()
    path = home.path / "ledger.sqlite3"
    home.environ["RUNAPI_LEDGER"] = str(path)
    with closing(Database.open(path)) as database:
        for number in range(41):
            call = Entry(str(number), "me", "flux", "f", 1.0, call_id=str(number))
            database.write(queries.INSERT, queries.to_row(call))
        # Not `home.doctor`: a reader marks its place in the memory beside the file.
        assert "the ledger has 41 calls" in home.run("doctor").text


def test_a_ledger_that_was_deleted_while_servers_have_it_open(home: Home) -> None:
    home.claude()
    home.write("ledger.sqlite3-shm", "")
    path = home.path / "ledger.sqlite3"
    home.environ["RUNAPI_LEDGER"] = str(path)
    assert home.doctor().one("ledger", "moved or deleted")["mend"] == f"lsof {path}*"


def test_a_time_zone_of_the_budget_that_nobody_knows(home: Home) -> None:
    home.claude()
    home.environ["RUNAPI_BUDGET_TIMEZONE"] = "Mars/Olympus"
    found = home.doctor(status=0).one("budget", "Mars/Olympus")
    assert (found["severity"], found["mend"]) == ("warning", "unset RUNAPI_BUDGET_TIMEZONE")


def test_a_setting_that_is_misspelt(home: Home) -> None:
    home.claude()
    home.environ["RUNAPI_VARIANT"] = "pro"
    found = home.doctor(status=0).one("settings", "RUNAPI_VARIANT is no setting")
    assert (found["why"], found["mend"]) == (
        "did you mean RUNAPI_VARIANTS?",
        "unset RUNAPI_VARIANT",
    )


def test_a_limit_that_is_misspelt_keeps_the_server_from_starting(home: Home) -> None:
    home.claude({**OURS, "env": {"RUNAPI_DALY_BUDGET": "1"}})
    found = home.doctor(status=1).one("settings", "did you mean RUNAPI_DAILY_BUDGET?")
    assert found["why"] == "the server does not start"


def test_a_ledger_in_a_folder_that_is_a_file(home: Home) -> None:
    home.claude()
    path = home.write("state", "a file")
    home.environ["RUNAPI_LEDGER"] = str(path / "ledger.sqlite3")
    assert home.doctor().one("ledger", "is a file")["mend"] == f"mv {path} {path}.old"


def test_a_folder_for_pictures_that_is_a_file(home: Home) -> None:
    path = home.write("pictures", "a file")
    home.claude({**OURS, "env": {"RUNAPI_OUTPUT_DIR": str(path)}})
    assert home.doctor().one("pictures", "is a file")["mend"] == f"mv {path} {path}.old"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_for_pictures_that_cannot_be_written(home: Home) -> None:
    folder = home.path / "pictures"
    folder.mkdir(mode=0o500)
    home.claude()
    home.environ["RUNAPI_OUTPUT_DIR"] = str(folder)
    found = home.doctor().one("pictures", "cannot be written")
    assert found["mend"] == f"mkdir -p {folder} && chmod u+rwx {folder}"


# The files.


def test_a_host_file_that_is_broken(home: Home) -> None:
    path = home.write(".cursor/mcp.json", '{\n  "mcpServers": {\n    oops\n')
    found = home.doctor().one("file", "line 3 is broken")
    assert found["mend"] == f"${{EDITOR:-vi}} +3 {path}"


def test_an_entry_in_two_files(home: Home) -> None:
    home.claude()
    home.write("work/fox/.mcp.json", {"mcpServers": {"runapi": OURS}})
    found = home.doctor(status=0).one("duplicate", "in the user and the project file")
    assert found["mend"] == f"{US} uninstall claude-code --scope project"


def test_an_entry_for_this_project_in_the_users_file(home: Home) -> None:
    servers = {"mcpServers": {"runapi": OURS}}
    home.write(".claude.json", {**servers, "projects": {str(home.project): servers}})
    found = home.doctor(status=0).one("duplicate", "in the user and the local file")
    assert found["mend"] == "claude mcp remove runapi -s local"


def test_an_older_entry_under_another_name(home: Home) -> None:
    home.write(".claude.json", {"mcpServers": {"runapi": OURS, "flux 2": OURS}})
    found = home.doctor(status=0).one("duplicate", "“flux 2” (user) starts this server too")
    assert found["mend"] == "claude mcp remove 'flux 2' -s user"


def test_another_server_under_our_name(home: Home) -> None:
    home.claude({"command": "npx", "args": ["-y", "@runapi.ai/mcp"]})
    found = home.doctor().one("entry", "RunAPI's own server")
    assert found["mend"] == f"claude mcp remove runapi -s user && {CLAUDE}"


def test_runapis_own_server_beside_ours_is_only_a_note(home: Home) -> None:
    own = {"command": "npx", "args": ["-y", "@runapi.ai/mcp"]}
    home.write(".claude.json", {"mcpServers": {"runapi": OURS, "runapi-own": own}})
    assert home.doctor(status=0).one("entries", "“runapi-own”")["severity"] == "note"


def test_an_entry_that_is_turned_off(home: Home) -> None:
    home.cursor({**OURS, "disabled": True})
    found = home.doctor().one("entry", "turned off in Cursor")
    assert found["mend"] == f"{US} uninstall cursor && {CURSOR}"


def test_calls_that_the_host_gives_up_too_soon(home: Home) -> None:
    home.codex("tool_timeout_sec = 10", HELD_BACK)
    found = home.doctor(status=0).one("timeout", "Codex gives up a call after 10 s")
    assert found["mend"] == f"{US} uninstall codex && {CODEX}"


def _runs(words: str) -> bool:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)  # noqa: S607 - the system's own
    return any(line.strip() == words for line in listed.stdout.splitlines())
