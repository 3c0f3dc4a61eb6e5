"""Each page of the documentation: its links, its commands, and what it names."""

import ast
import inspect
import os
import re
import shlex
import textwrap
import tomllib
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks.registry import registry
from django.core.management import get_commands, load_command_class
from django.db.migrations import AddField, CreateModel
from django.test import override_settings

import django_totp
import proof.__main__ as proof
from django_totp import exceptions, retrying, serializers
from django_totp.checks import settings as check_settings
from django_totp.conf import Conf, conf
from django_totp.encryption import resolve_fernet_keys
from django_totp.operations.audit import side_doors
from django_totp.totp import verify_totp_code
from django_totp.views import base
from tests import markdown, run

SOURCE = Path(django_totp.__file__).parent
SHELL_BLOCKS = [
    (page, line)
    for page in markdown.pages()
    for block in markdown.blocks(page.read_text(encoding="utf-8"), "sh")
    for line in block.splitlines()
]
COMMANDS_OF_OTHERS = {"all_tenants_command", "tenant_command"}  # tests/field runs them
SETTINGS_OF_1_1 = {
    "TOTP_RECOVERY_CONFIRM_URL",
    "TOTP_RECOVERY_EMAIL_TEMPLATE",
    "TOTP_DISABLED_EMAIL_TEMPLATE",
}


@pytest.mark.parametrize("page", markdown.pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in markdown.links(page):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.is_file(), link
        assert not anchor or anchor in markdown.anchors(path), link


@pytest.mark.parametrize("page", markdown.pages(), ids=lambda page: page.name)
def test_settings_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"\bTOTP_[A-Z][A-Z_]*\b", page.read_text(encoding="utf-8")))
    assert named - (SETTINGS_OF_1_1 if page.name == "upgrading.md" else set()) <= set(_settings())


@pytest.mark.parametrize("page", markdown.pages(), ids=lambda page: page.name)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", markdown.read("Makefile"), re.M))
    commands = re.findall(r"(?:`|^ *)make ((?:\w+=\S+ )*)(\w+)", page.read_text(), re.M)
    assert {target for _, target in commands} <= targets


@pytest.mark.parametrize("page", markdown.pages(), ids=lambda page: page.name)
def test_management_commands_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"manage\.py (\w+)", page.read_text(encoding="utf-8")))
    assert named - COMMANDS_OF_OTHERS <= set(get_commands())


def test_the_programs_of_the_proof_are_those_that_it_runs() -> None:
    named = re.findall(r"`\.venv/bin/python -m proof\.(\w+)`", markdown.read("docs/proof.md"))
    assert sorted(named) == sorted(proof.FULL)
    assert {*proof.QUICK} == {*proof.FULL} - {"timing"}


@pytest.mark.parametrize(
    ("page", "line"), SHELL_BLOCKS, ids=[f"{page.name}: {line}" for page, line in SHELL_BLOCKS]
)
def test_commands_can_be_run(page: Path, line: str) -> None:
    """Each line of a shell block is of a kind that is checked here."""
    program, *arguments = shlex.split(line)
    assert program in COMMANDS, f"{page.name}: {line}"
    COMMANDS[program](arguments)


def _check_manage(arguments: list[str]) -> None:
    command = takewhile(lambda argument: argument != ">", arguments)  # a file
    script, name, *options = command
    assert script == "manage.py"
    if "--database" in options:  # the project of a page may have another than this one
        options[options.index("--database") + 1] = "default"
    parser = load_command_class(get_commands()[name], name).create_parser(script, name)
    parser.parse_args(options)


def _check_python(arguments: list[str]) -> None:
    if arguments[0] == "-c":
        markdown.run(arguments[1])
    else:
        _check_manage(arguments)


def _check_tests(arguments: list[str]) -> None:
    option, module, what, *_ = arguments
    assert option == "-m"
    if module == "tests.run":
        assert set(what.split("-")) <= set().union(*run.VARIABLES.values())
    elif module == "proof.mutation":
        assert (markdown.ROOT / "src" / "django_totp" / f"{what}.py").is_file()
    else:
        assert module == "pytest"
        assert (markdown.ROOT / what).is_file()


def _check_pip(arguments: list[str]) -> None:
    project = tomllib.loads(markdown.read("pyproject.toml"))["project"]
    action, requirement = arguments
    assert action == "install"
    assert requirement == f"{project['name']}>={project['version'].partition('.')[0]}"


def _check_curl(arguments: list[str]) -> None:
    """The README's first login: sent in ``test_readme``."""
    assert arguments[-1].startswith("http://127.0.0.1:8000/")


def _check_export(arguments: list[str]) -> None:
    """The README's key: pasted and used in ``test_readme``."""
    assert arguments[0].startswith("TOTP_ENCRYPTION_KEY=")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    ".venv/bin/python": _check_tests,
    "curl": _check_curl,
    "export": _check_export,
    "make": lambda arguments: None,  # above, with those in the text
    "pip": _check_pip,
    "python": _check_python,
}


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("docs/http-api.md", f"up to {serializers.PASSWORD_LENGTH} characters"),
        ("docs/http-api.md", f"A body of more than {base.MAX_BODY // 1024} KB is refused"),
        ("docs/errors.md", f"the body has more than {base.MAX_BODY // 1024} KB"),
        ("docs/security.md", f"up to {retrying.TRIES} times"),
    ],
)
def test_numbers_are_those_of_the_code(page: str, sentence: str) -> None:
    assert sentence in markdown.sentences(page)


def test_the_variables_of_services_are_those_that_are_read() -> None:
    section = markdown.sections(markdown.read("CONTRIBUTING.md"), 2)["Tests with services"]
    variables = {name for row in markdown.rows(section) for name in markdown.code(row[2])}
    source = markdown.read("tests/services.py")
    assert variables
    assert {name for name in variables if name not in source} == set()


def test_the_changelog_has_the_version_of_the_package() -> None:
    version = tomllib.loads(markdown.read("pyproject.toml"))["project"]["version"]
    newest = next(iter(markdown.sections(markdown.read("CHANGELOG.md"), 2)))
    assert newest.startswith(f"[{version}] - ")


def test_the_migration_that_upgrading_names_exists() -> None:
    text = markdown.read("docs/upgrading.md")
    names = set(re.findall(r"`(\d{4}_\w+)`", text))
    names.remove("0002_alter_backupcode_id_alter_totp_id")  # what projects may have beside it
    ours = {path.stem for path in (SOURCE / "migrations").glob("0*.py")}
    assert names == ours - {"0001_initial"}


def test_what_the_last_migration_adds_is_listed() -> None:
    text = markdown.read("docs/upgrading.md")
    [paragraph] = [part for part in text.split("\n\n") if part.startswith("`0004_")]
    migration = import_module("django_totp.migrations.0004_life_of_a_factor").Migration
    fields = [each.name for each in migration.operations if isinstance(each, AddField)]
    tables = [each.name for each in migration.operations if isinstance(each, CreateModel)]
    tables = [apps.get_model("django_totp", name)._meta.db_table for name in tables]
    assert {*markdown.code(paragraph)[1:]} == {*fields, *tables}


def _settings() -> dict[str, property]:
    return {name: value for name, value in vars(Conf).items() if isinstance(value, property)}


def _documented_settings() -> dict[str, tuple[str, str]]:
    """Return type and default, as the page writes them, by the name of the setting."""
    sections = markdown.sections(markdown.read("docs/settings.md"), 3)
    line = re.compile(r"\A\s*Type `([^`]+)`, default `([^`]+)`\.")
    return {name: line.match(text).groups() for name, text in sections.items()}


def test_every_setting_is_documented() -> None:
    assert set(_documented_settings()) == set(_settings())


@pytest.mark.parametrize("name", _settings())
def test_type_and_default_of_a_setting(name: str) -> None:
    types, default = _documented_settings()[name]
    [source] = ast.parse(textwrap.dedent(inspect.getsource(_settings()[name].fget))).body
    assert ast.unparse(source.returns) == types
    with override_settings():
        with suppress(AttributeError):
            delattr(django_settings, name)
        assert getattr(conf, name) == ast.literal_eval(default)


def test_the_example_of_changed_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    monkeypatch.setenv("TOTP_ENCRYPTION_KEY", keys[0])
    monkeypatch.setenv("OLD_TOTP_ENCRYPTION_KEY", keys[1])
    keys_section = markdown.sections(markdown.read("docs/settings.md"), 2)["Keys"]
    [example] = markdown.blocks(keys_section, "python")
    names = markdown.run(example, os=os)
    with override_settings(**{name: names[name] for name in names if name.isupper()}):
        assert resolve_fernet_keys() == tuple(key.encode() for key in keys)


@pytest.mark.usefixtures("unguarded")
def test_the_example_of_the_audit() -> None:
    section = markdown.sections(markdown.read("docs/settings.md"), 3)["TOTP_AUDIT_ALLOWED"]
    [example] = markdown.blocks(section, "python")
    names = markdown.run(example)
    [view] = names["TOTP_AUDIT_ALLOWED"]
    assert view in {finding.view for finding in side_doors()}
    with override_settings(TOTP_AUDIT_ALLOWED=names["TOTP_AUDIT_ALLOWED"]):
        assert view not in {finding.view for finding in side_doors()}


@pytest.mark.django_db
def test_the_waits_that_settings_lists_are_those_of_the_defaults(enrolled_user: Any) -> None:
    [listed] = re.findall(r"with the defaults ([\d, ]+\d)", markdown.sentences("docs/settings.md"))
    waits = []
    with time_machine.travel(0x70000000, tick=False) as traveller:
        for _ in range(conf.TOTP_FAILURE_LIMIT):
            verify_totp_code(enrolled_user, "12345")
        for _ in listed.split(", "):
            verify_totp_code(enrolled_user, "12345")
            with pytest.raises(exceptions.TooManyAttempts) as refused:
                verify_totp_code(enrolled_user, "12345")
            waits.append(refused.value.retry_after)
            traveller.shift(waits[-1])
    assert listed == ", ".join(map(str, waits))


def test_every_check_is_documented() -> None:
    documented = _documented_checks()
    assert {kind: set(messages) for kind, messages in documented.items()} == _checks()


def test_the_rules_of_checks_are_documented() -> None:
    documented = _documented_checks()
    for verb, heading, rules in (
        ("must", "Errors", check_settings.MISTAKES),
        ("should", "Warnings with --deploy", check_settings.WEAKNESSES),
    ):
        for rule in rules:
            message = documented[heading][f"django_totp.{rule.id}"]
            assert message == f"`{rule.setting}` {verb} be {rule.wanted}"


def _documented_checks() -> dict[str, dict[str, str]]:
    """Return the messages by id, under each heading."""
    return {
        heading: {markdown.code(id_)[0]: message for id_, message, _ in markdown.rows(table)}
        for heading, table in markdown.sections(markdown.read("docs/checks.md"), 2).items()
    }


def _checks() -> dict[str, set[str]]:
    """Return the ids of our checks by the heading that they belong under."""
    found: dict[str, set[str]] = {
        "Errors": set(),
        "Warnings": set(),
        "Warnings with --deploy": set(),
    }
    for check in registry.get_checks(include_deployment_checks=True):
        if not check.__module__.startswith("django_totp."):
            continue
        heading = "Warnings with --deploy" if check in registry.deployment_checks else "Warnings"
        for id_ in _ids(check):
            found["Errors" if ".E" in id_ else heading].add(id_)
    return found


def _ids(check: Any) -> set[str]:
    source = inspect.getsource(check)
    names = re.findall(r"_broken\((\w+)\)", source)
    rules = [rule for name in names for rule in getattr(check_settings, name)]
    written = re.findall(r"django_totp\.[EW]\d{3}", source)
    return {*written, *(f"django_totp.{rule.id}" for rule in rules)}
