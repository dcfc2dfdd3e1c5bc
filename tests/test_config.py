"""Settings that a restart may change: the file, the environment, and what is wrong with them in one sentence."""

import pytest

import config as ground


def load(tmp_path, text="", **environ):
    """Read a settings file of this text with this environment."""
    if text:
        (tmp_path / "kairan.toml").write_text(text, "utf-8")
    return ground.load_config({"KAIRAN_DATA": str(tmp_path), **environ})


def test_environment_wins_over_the_file(tmp_path):
    found = load(tmp_path, 'rate = 30\nmail_domain = "mail.example.jp"', KAIRAN_RATE="60")
    assert (found.rate, found.mail_domain, found.data) == (60, "mail.example.jp", tmp_path)


@pytest.mark.parametrize(
    "url", ["https://kairan.example.jp", "http://127.0.0.1:8000", "http://[::1]:8000", "https://example.jp/kairan"]
)
def test_web_address_that_stands_in_letters(tmp_path, url):
    assert load(tmp_path, KAIRAN_BASE_URL=f"{url}/").base_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BASE_URL", "http://["),
        ("BASE_URL", "http://[x]"),
        ("BASE_URL", "http://x y"),
        ("BASE_URL", "http://x:99999"),
        ("BASE_URL", "kairan.example.jp"),
        ("BASE_URL", "https://\u2100.jp"),
        ("MAIL_DOMAIN", "mail example"),
        ("MAIL_DOMAIN", "a@b.jp"),
        ("HTTP", "8000"),
        ("HTTP", "127.0.0.1:0"),
        ("INLET", "smtp://["),
        ("RATE", "x"),
        ("RATE", "-1"),
        ("DOMAIN_RATES", "docomo.ne.jp"),
        ("DOMAIN_RATES", "docomo.ne.jp=-1"),
        ("DOMAIN_RATES", "=30"),
        ("CLOCK_OFFSET_S", "nan"),
        ("CLOCK_OFFSET_S", "1e300"),
    ],
)
def test_wrong_setting_is_named(tmp_path, name, value):
    with pytest.raises(ground.ConfigError, match=f"KAIRAN_{name}"):
        load(tmp_path, **{f"KAIRAN_{name}": value})


@pytest.mark.parametrize("text", ["rate = [1]", "rate = 1e400", "rate = ", "reit = 1"])
def test_file_that_cannot_be_used_is_one_sentence(tmp_path, text):
    with pytest.raises(ground.ConfigError):
        load(tmp_path, text)


def test_folder_in_place_of_the_file_is_one_sentence(tmp_path):
    (tmp_path / "kairan.toml").mkdir()
    with pytest.raises(ground.ConfigError, match="kairan.toml"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("smtp://127.0.0.1:25", True),
        ("smtp://[::1]", True),
        ("smtp://localhost", True),
        ("smtp://mx.example.jp", False),
        ("smtp://[", False),
    ],
)
def test_loopback(url, is_here):
    assert ground.is_loopback(url) is is_here


def test_a_file_of_somebody_else_says_who_must_run_this(tmp_path, monkeypatch):
    def denied(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(ground.Path, "read_text", denied)
    with pytest.raises(ground.ConfigError, match=r"No right to read .*kairan\.toml.*sudo -u"):
        ground.load_config({"KAIRAN_DATA": str(tmp_path)})


# ── writing the file, and seeing a change ─────────────────────────────────────────────────────────────────────────


def test_writing_keeps_comments_and_other_settings(tmp_path):
    (tmp_path / "kairan.toml").write_text('# our provider\nrate = 30\nsmtp = "smtp://a.example"\n', "utf-8")
    ground.write_file(tmp_path, {"smtp": 'smtps://u:p%40"ss@b.example', "hour_rate": 500, "rate": None})
    text = (tmp_path / "kairan.toml").read_text("utf-8")
    assert text.startswith("# our provider\n") and "a.example" not in text and "rate = 30" not in text
    found = load(tmp_path)
    assert (found.smtp, found.hour_rate, found.rate) == ('smtps://u:p%40"ss@b.example', 500, None)
    assert (tmp_path / "kairan.toml").stat().st_mode & 0o777 == 0o600


def test_an_unusual_file_is_written_anew_and_loses_no_setting(tmp_path):
    (tmp_path / "kairan.toml").write_text('domain_rates = """\ndocomo.ne.jp=30\nrate=5\n"""\n"rate" = 7\n', "utf-8")
    ground.write_file(tmp_path, {"rate": 9})
    assert (load(tmp_path).rate, load(tmp_path).domain_rates.split()) == (9, ["docomo.ne.jp=30", "rate=5"])


def test_a_wrong_value_is_not_written(tmp_path):
    ground.write_file(tmp_path, {"rate": 5})
    before = (tmp_path / "kairan.toml").read_text()
    for name, value in (("mail_domain", "a b"), ("rate", -1), ("road", "sea")):
        with pytest.raises(ground.ConfigError):
            ground.write_file(tmp_path, {name: value})
    assert (tmp_path / "kairan.toml").read_text() == before


def test_a_running_process_sees_a_change_of_the_file_but_not_what_needs_a_restart(config):
    ground.write_file(config.data, {"smtp": "smtp://127.0.0.1:2525", "http": "127.0.0.1:9"})
    found = ground.current_config()
    assert found.smtp == "smtp://127.0.0.1:2525" and found.http == config.http
    ground.write_file(config.data, {"smtp": None})
    assert ground.current_config().smtp == ""


def test_the_environment_of_the_process_wins_over_a_later_change(config):
    ground.write_file(config.data, {"mail_domain": "other.example"})
    assert ground.current_config().mail_domain == "mail.school.example" and "mail_domain" in ground.given_names()


def test_a_file_that_becomes_invalid_changes_nothing(config, caplog):
    ground.write_file(config.data, {"rate": 5})
    assert ground.current_config().rate == 5
    (config.data / "kairan.toml").write_text("rate = ", "utf-8")
    assert ground.current_config().rate == 5 and "cannot be read" in caplog.text
