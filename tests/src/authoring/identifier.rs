//! Check 9: identifiers that nobody filled in, and click ids of ours in another spelling than the one they were minted in.

use countersign_core::identifier::NOTHING;
use countersign_core::outcome::Code::{self, Accepted, ClickIdInvalid, EventInvalid};

use super::draft::Draft;
use super::{Chapter, Entry, keys, one};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, config, entries| Chapter { suite: Suite::Gate, name, comment, config, entries };
    vec![
        chapter(
            "identifier",
            "Check 9: identifiers that a template or a program left empty.",
            "gate",
            [members(), words(), lookalikes()].concat(),
        ),
        chapter(
            "click_spelling",
            "Check 9: click ids in another spelling, where they must be ours.",
            "gate",
            spellings("required", ClickIdInvalid),
        ),
        chapter(
            "click_spelling_when_ours",
            "Check 9: what claims to be ours in any spelling must be ours, beside those of another tracker.",
            "clicks_when_ours",
            spellings("when-ours", Accepted),
        ),
        chapter(
            "click_spelling_off",
            "Check 9: ours in another spelling is refused where no click id is verified.",
            "clicks_off",
            [spellings("off", Accepted), claims_where_none_is_verified()].concat(),
        ),
    ]
}

fn plain() -> Draft {
    Draft::of("plain")
}

/// Members that money hangs on, with the event that has them.
fn identified(member: &str, id: &str) -> Draft {
    let draft = match member {
        "original_event_id" => plain().deposit("5", "EUR").string("event", "refund"),
        "install_id" => plain().string("event", "install"),
        _ => plain(),
    };
    draft.string(member, id)
}

fn members() -> Vec<Entry> {
    let why = "An id that is the same for everybody makes one player, or one event, of all.";
    let mut entries = Vec::new();
    for member in ["account_id", "event_id", "install_id", "original_event_id", "session_id"] {
        for (kind, id) in [
            ("null", "null"),
            ("quoted-null", "\"null\""),
            ("empty-within-quotes", "\"\""),
            ("zero", "0"),
            ("nil-uuid", "00000000-0000-0000-0000-000000000000"),
            ("nan", "NaN"),
            ("empty-object", "{}"),
            ("object-as-text", "[object Object]"),
            ("macro", "{user_id}"),
            ("encoded-macro", "%7Buser_id%7D"),
            ("macro-behind-a-prefix", "acc-{{user.id}}"),
            ("blank-behind", "u_1 "),
            ("control-character", "u\u{1}1"),
        ] {
            let name = format!("{}-that-is-{kind}-is-invalid", member.replace('_', "-"));
            entries.push(one(&name, why, identified(member, id), EventInvalid));
        }
        let name = format!("{}-that-begins-as-none-is-accepted", member.replace('_', "-"));
        entries.push(one(&name, "The whole id counts.", identified(member, "none-1"), Accepted));
    }
    entries
}

fn words() -> Vec<Entry> {
    let why = "docs/rejects.md has the closed list of what programs print for nothing.";
    let zeros =
        ["-0", "0.00", "0x0", "00000000", "{00000000-0000-0000-0000-000000000000}", "0000-00-00 00:00:00"];
    let words = NOTHING.iter().chain(&zeros).enumerate();
    let entry = |(number, word): (usize, &&str)| {
        let id = format!("word-for-nothing-{:02}-is-not-an-account", number + 1);
        let upper = word.to_uppercase();
        // Half of them in the other letter case.
        let word = if number % 2 == 0 { word } else { upper.as_str() };
        one(&id, why, identified("account_id", word), EventInvalid)
    };
    words.map(entry).collect()
}

fn lookalikes() -> Vec<Entry> {
    let why = "An honest id that only looks like one of the others.";
    [
        ("account-with-a-word-in-it-is-accepted", "nullable"),
        ("account-of-zeros-and-a-one-is-accepted", "0001"),
        ("account-in-another-script-is-accepted", "用户7"),
        ("account-with-a-space-in-it-is-accepted", "u 1"),
        ("account-that-is-a-uuid-in-braces-is-accepted", "{6f9619ff-8b86-d011-b42d-00c04fc964ff}"),
        ("account-with-a-percent-sign-is-accepted", "50%off"),
    ]
    .map(|(id, account)| one(id, why, identified("account_id", account), Accepted))
    .into()
}

/// Ours in every spelling but its own; `other` is what becomes of an id that is another tracker's.
fn spellings(verify: &str, other: Code) -> Vec<Entry> {
    let with = |id: &str| plain().string("click_id", id);
    let (ours, sealed) = (keys::click(7), keys::sealed(7, 1));
    let digits = &ours[4..];
    let mut entries: Vec<Entry> = [
        ("in-upper-case", ours.to_uppercase()),
        ("with-a-capital-letter", format!("C{}", &ours[1..])),
        ("with-a-prefix-in-upper-case", format!("CLK_{digits}")),
        ("with-digits-in-upper-case", format!("clk_{}", digits.to_uppercase())),
        ("sealed-in-upper-case", sealed.to_uppercase()),
        ("sealed-with-a-prefix-in-upper-case", format!("CLS_{}", &sealed[4..])),
        ("behind-a-parameters-name", format!("click_id={ours}")),
        ("within-quotes", format!("\"{ours}\"")),
        ("within-single-quotes", format!("'{ours}'")),
        ("percent-encoded", format!("clk%5F{digits}")),
        ("percent-encoded-twice", format!("clk%255F{digits}")),
        ("with-encoded-quotes", format!("%22{ours}%22")),
        ("with-a-hyphen", format!("clk-{digits}")),
        ("without-a-separator", format!("clk{digits}")),
        ("without-its-prefix", digits.to_owned()),
        ("sealed-without-its-prefix", sealed[4..].to_owned()),
    ]
    .into_iter()
    .map(|(kind, id)| {
        let name = format!("click-{kind}-is-named-{verify}");
        one(&name, "Ours in another spelling: two spellings would be two clicks.", with(&id), ClickIdInvalid)
    })
    .collect();
    for (kind, id) in [("null", "null"), ("zero", "0"), ("undefined", "Undefined"), ("braces", "{}")] {
        let name = format!("click-that-is-{kind}-is-refused-{verify}");
        entries.push(one(&name, "Nobody's id.", with(id), ClickIdInvalid));
    }
    for (kind, id) in [("in-front", format!(" {ours}")), ("behind", format!("{ours}\t"))] {
        let name = format!("click-with-a-blank-{kind}-is-invalid-{verify}");
        entries.push(one(&name, "Visible ASCII only; the hint names the blanks.", with(&id), EventInvalid));
    }
    for (kind, id) in [
        ("a-sha1", "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"),
        ("words-that-begin-alike", "clk-7d3ra"),
        ("ours-within-it", "t2_clk_0123"),
    ] {
        let name = format!("click-of-another-tracker-that-is-{kind}-{verify}");
        entries.push(one(&name, "Another tracker's id, for all that is known.", with(id), other));
    }
    if verify != "off" {
        let made_up = keys::click_with(&keys::key("another_key"), 7);
        for (kind, id) in [
            ("in-upper-case", made_up.to_uppercase()),
            ("within-quotes", format!("\"{made_up}\"")),
            ("percent-encoded", format!("clk%5F{}", &made_up[4..])),
            ("with-a-hyphen", format!("clk-{}", &made_up[4..])),
            ("cut-off-in-upper-case", "CLK_06GN".to_owned()),
        ] {
            let name = format!("made-up-click-{kind}-must-be-ours-{verify}");
            let why = "What claims to be ours in any spelling must be ours.";
            entries.push(one(&name, why, with(&id), ClickIdInvalid));
        }
    }
    entries
}

fn claims_where_none_is_verified() -> Vec<Entry> {
    let with = |id: &str| plain().string("click_id", id);
    let made_up = keys::click_with(&keys::key("another_key"), 7);
    let why = "verify: off. Only what is certainly ours, or certainly nobody's, is refused.";
    vec![
        one("made-up-click-in-upper-case-passes-off", why, with(&made_up.to_uppercase()), Accepted),
        one("click-with-more-behind-it-passes-off", why, with(&format!("{}-2", keys::click(7))), Accepted),
    ]
}
