//! Identifiers: what nobody filled in, in every form that systems leave behind, and what only looks like it.
#![cfg(test)]

use countersign_core::identifier::{IdentifierReject, NOTHING, check, is_macro, is_nothing};

#[test]
fn every_word_for_nothing_is_refused_in_every_spelling() {
    for word in NOTHING {
        for text in [
            word.to_owned(),
            word.to_uppercase(),
            format!("\"{word}\""),
            format!("'{word}'"),
            format!("\\\"{word}\\\""),
            format!("&quot;{word}&quot;"),
            format!("%22{word}%22"),
            format!("%2522{word}%2522"),
        ] {
            assert_eq!(check(&text), Err(IdentifierReject::Nothing), "{text:?}");
        }
        for text in [format!("{word}-1"), format!("u_{word}"), format!("{word}7")] {
            assert!(!is_nothing(&text) || text.starts_with("-1"), "{text:?}");
        }
    }
}

#[test]
fn zero_is_nothing_in_every_form() {
    for text in [
        "0",
        "00",
        "-0",
        "+0",
        "0.0",
        "0.00",
        "0x0",
        "0X00000000",
        "00000000000000000000000000000000",
        "00000000-0000-0000-0000-000000000000",
        "{00000000-0000-0000-0000-000000000000}",
        "(00000000-0000-0000-0000-000000000000)",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
        "0.0.0.0",
        "00:00:00:00:00:00",
        "0000-00-00 00:00:00",
        "{0}",
        "\"0\"",
        "%30",
    ] {
        assert_eq!(check(text), Err(IdentifierReject::Nothing), "{text:?}");
    }
    for text in
        ["1", "10", "0001", "0x1", "0-1", "00000000-0000-0000-0000-000000000001", "o", "x0", "0x", "u0"]
    {
        assert_eq!(check(text), Ok(()), "{text:?}");
    }
}

#[test]
fn what_is_empty_but_for_quotes_and_blanks_is_nothing() {
    for text in [
        "",
        " ",
        "\t\r\n",
        "\"\"",
        "''",
        "``",
        "\\\"\\\"",
        "&quot;&quot;",
        "%20",
        "%00",
        "%22%22",
        "\u{a0}",
        "\u{feff}",
    ] {
        assert_eq!(check(text), Err(IdentifierReject::Nothing), "{text:?}");
    }
}

#[test]
fn blanks_are_named() {
    for text in
        [" u_1", "u_1 ", "u_1\n", "\tu_1", "\u{a0}u_1", "u_1\u{200b}", "\u{feff}u_1", "u\u{0}1", "u\n1"]
    {
        assert_eq!(check(text), Err(IdentifierReject::Blanks), "{text:?}");
    }
    assert_eq!(check("u 1"), Ok(()), "within an id of others a space is theirs");
}

#[test]
fn a_macro_is_refused_in_every_form() {
    for text in [
        "{account_id}",
        "{{account_id}}",
        "{{ user.id }}",
        "${ACCOUNT_ID}",
        "#{account_id}",
        "%{account_id}",
        "$(account_id)",
        "%ACCOUNTID%",
        "%%ACCOUNT_ID%%",
        "[ACCOUNT_ID]",
        "[[account_id]]",
        "<account_id>",
        "<%= account_id %>",
        "#accountid#",
        "__ACCOUNTID__",
        "@@account_id@@",
        "*|ACCOUNT_ID|*",
        "&lt;account_id&gt;",
        "%7Baccount_id%7D",
        "%7b%7baccount_id%7d%7d",
        "%257Baccount_id%257D",
        "%5BACCOUNT_ID%5D",
        "%3Caccount_id%3E",
        "%24%7Baccount_id%7D",
        "acc-{user_id}",
        "{user_id}-acc",
        "acc-{{user.id}}",
        "acc%7Buser_id%7D",
        ":account_id",
        "$accountId",
        "@event_id",
        "account_id",
        "ACCOUNT-ID",
        "clickId",
        "%s",
        "%d",
    ] {
        assert!(is_macro(text), "{text:?}");
        assert_eq!(check(text), Err(IdentifierReject::Macro), "{text:?}");
    }
}

#[test]
fn an_id_that_only_looks_like_one_passes() {
    for text in [
        "none-1",
        "nullable",
        "0-none",
        "anna",
        "nan0",
        "u_0",
        "u_456",
        "-10",
        "true-1",
        "undefined1",
        "{6f9619ff-8b86-d011-b42d-00c04fc964ff}",
        "{DEADBEEF-8b86-d011-b42d-00c04fc964ff}",
        "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "d41d8cd98f00b204e9800998ecf8427f",
        "a{b",
        "a}b{",
        "x{1}",
        "!#$%&'()*+,-./:;<=>?@[]^_`{|}~",
        "100%",
        "50%off",
        "account_id_7",
        "my-account-id",
        "José",
        "用户7",
    ] {
        assert_eq!(check(text), Ok(()), "{text:?}");
    }
}

#[test]
fn the_page_has_the_whole_list() {
    let page = include_str!("../../../docs/rejects.md").to_lowercase();
    for word in NOTHING.into_iter().filter(|word| word.len() < 32) {
        assert!(page.contains(&format!("`{word}`")), "docs/rejects.md does not have {word:?}");
    }
}
