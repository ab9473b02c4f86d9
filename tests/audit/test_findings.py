import pytest

from vae_jax.audit.findings import Finding, describe_verdict, sort_findings


def make(severity, title="title"):
    return Finding("kind", severity, title, "text")


def test_the_verdict_of_clean_data_says_so():
    assert describe_verdict([]) == "nothing was found"


def test_the_verdict_counts_and_names_what_is_severe():
    findings = [make("notice"), make("warning", "a"), make("refusal", "b"), make("warning", "c")]
    verdict = describe_verdict(sort_findings(findings))
    assert verdict == "1 refusal (b), 2 warnings (a; c), 1 notice"


def test_a_verdict_is_one_line_however_many_findings_there_are():
    verdict = describe_verdict([make("warning", f"w{i}") for i in range(9)])
    assert verdict == "9 warnings (w0; w1; w2; and 6 more)"


def test_findings_of_one_severity_keep_their_order():
    findings = [make("warning", "a"), make("refusal", "b"), make("warning", "c")]
    assert [finding.title for finding in sort_findings(findings)] == ["b", "a", "c"]


def test_an_unknown_severity_is_an_error():
    with pytest.raises(ValueError, match="valid: refusal, warning, notice"):
        make("fatal")
