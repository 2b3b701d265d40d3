//! The redirector's decisions: where a click is sent on to, and what is kept of it.
#![cfg(test)]

use std::net::IpAddr;

use countersign_core::click as click_id;
use countersign_core::headers::Headers;
use countersign_core::time::Timestamp;
use countersign_ledger::click::{
    PARAMETERS, PARAMETERS_READ_MAX, Parameters, QUERY_BYTES_MAX, Random, Redirected, Redirector, Refusal,
    Request, VALUE_BYTES_MAX, Visitor,
};

const DOCUMENT: &str = r#"{
  "version": 1,
  "environment": "sandbox",
  "trusted_proxies": ["10.0.0.0/8"],
  "redirect": { "geo_header": "CF-IPCountry" },
  "campaigns": {
    "bare": { "partner": "sandbox", "landing": "https://operator.example" },
    "path": { "partner": "sandbox", "landing": "https://operator.example/Welcome/%7Ejo", "parameter": "cid" },
    "empty": { "partner": "sandbox", "landing": "https://operator.example/?" },
    "query": { "partner": "sandbox", "landing": "https://operator.example/w?lang=en&x=%2F" },
    "open": { "partner": "sandbox", "landing": "https://operator.example/w?lang=en&" },
    "sealed": { "partner": "sandbox", "landing": "https://operator.example/w", "click_id": "sealed" }
  }
}"#;
const AT: Timestamp = Timestamp::from_ms(1_767_225_600_000);
const RANDOM: Random = Random { id: [7; 8], nonce: [9; 24] };
const PHONE: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";

fn redirector() -> Redirector {
    Redirector::compile(DOCUMENT, &mut |_| None).unwrap()
}

fn answer(
    method: &str,
    path: &str,
    peer: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<Redirected, Refusal> {
    let headers: Vec<(&[u8], &[u8])> =
        headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let peer: Option<IpAddr> = peer.map(|peer| peer.parse().unwrap());
    redirector().answer(&Request { method, path, headers: Headers(&headers), peer }, AT, RANDOM)
}

fn visitor(headers: &[(&str, &str)]) -> Visitor {
    answer("GET", "/c/bare", None, headers).unwrap().click.visitor
}

#[test]
fn an_address_in_brackets_has_a_prefix() {
    for (forwarded, prefix) in [
        ("[2001:db8:42::7]", Some("2001:db8:42::")),
        ("[2001:db8:42::7]:4711", Some("2001:db8:42::")),
        ("[::ffff:203.0.113.7]", Some("203.0.113.0")),
        ("[2001:db8:42::7], 10.1.2.3", Some("2001:db8:42::")),
        ("203.0.113.7,[::ffff:10.1.2.3]", Some("203.0.113.0")),
        ("[203.0.113.7]", None),
        ("fe80::7%1", None),
    ] {
        let headers = [("x-forwarded-for", forwarded)];
        let visitor = answer("GET", "/c/bare", Some("10.0.0.1"), &headers).unwrap().click.visitor;
        assert_eq!(visitor.ip_prefix.map(|prefix| prefix.to_string()).as_deref(), prefix, "{forwarded}");
    }
}

#[test]
fn the_landing_page_is_kept_byte_for_byte() {
    let plain = click_id::mint(&redirector().minting.keys[0], AT, RANDOM.id);
    for (campaign, before) in [
        ("bare", "https://operator.example?click_id="),
        ("path", "https://operator.example/Welcome/%7Ejo?cid="),
        ("empty", "https://operator.example/?click_id="),
        ("query", "https://operator.example/w?lang=en&x=%2F&click_id="),
        ("open", "https://operator.example/w?lang=en&click_id="),
    ] {
        let redirected = answer("GET", &format!("/c/{campaign}"), None, &[]).unwrap();
        assert_eq!(redirected.location, format!("{before}{plain}"));
        assert_eq!(redirected.click.click_id, plain);
        assert_eq!(
            (redirected.click.campaign.as_str(), redirected.click.partner.as_str()),
            (campaign, "sandbox")
        );
        assert_eq!((redirected.click.clicked_at, redirected.click.day()), (AT, 20_454));
    }
}

#[test]
fn a_sealed_id_opens_to_the_plain_one_that_is_stored() {
    let redirected = answer("GET", "/c/sealed", None, &[]).unwrap();
    let sealed = redirected.location.strip_prefix("https://operator.example/w?click_id=").unwrap();
    assert!(sealed.starts_with("cls_"), "{sealed}");
    let opened = click_id::inspect(&redirector().minting.keys, sealed).unwrap();
    assert_eq!((opened.id, opened.minted_at), (redirected.click.click_id, AT));
}

#[test]
fn nothing_of_the_request_decides_where_it_goes() {
    let expected = answer("GET", "/c/query", None, &[]).unwrap().location;
    for query in [
        "url=https://evil.example",
        "landing=//evil.example&redirect=https://evil.example&next=/evil",
        "click_id=clk_evil&cid=x",
        "a=%0d%0aLocation:%20https://evil.example",
        "?https://evil.example",
        "a=b#https://evil.example",
        "@evil.example",
    ] {
        let headers =
            [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("x-original-url", "//evil")];
        let redirected = answer("GET", &format!("/c/query?{query}"), None, &headers).unwrap();
        assert_eq!(redirected.location, expected, "{query}");
    }
}

#[test]
fn what_is_no_link_of_ours_is_refused() {
    use Refusal::{CampaignUnknown, MethodNotAllowed};
    for (method, path, expected) in [
        ("GET", "/c/unknown", CampaignUnknown),
        ("GET", "/c/unknown?url=https://evil.example", CampaignUnknown),
        ("GET", "/c/", CampaignUnknown),
        ("GET", "/c", CampaignUnknown),
        ("GET", "/", CampaignUnknown),
        ("GET", "", CampaignUnknown),
        ("GET", "//evil.example/c/bare", CampaignUnknown),
        ("GET", "/c//evil.example", CampaignUnknown),
        ("GET", "/c/bare/", CampaignUnknown),
        ("GET", "/c/bare/..", CampaignUnknown),
        ("GET", "/c/%62are", CampaignUnknown),
        ("GET", "/c/BARE", CampaignUnknown),
        ("HEAD", "/c/unknown", CampaignUnknown),
        ("POST", "/c/bare", MethodNotAllowed),
        ("OPTIONS", "/c/bare", MethodNotAllowed),
        ("get", "/c/bare", MethodNotAllowed),
        ("PUT", "/c/unknown", MethodNotAllowed),
    ] {
        let refusal = answer(method, path, None, &[]).unwrap_err();
        assert_eq!(refusal, expected, "{method} {path}");
    }
}

#[test]
fn only_a_person_is_counted() {
    const CRAWLER: (&str, &str) = ("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1)");
    for (method, headers, kind) in [
        ("GET", &[("user-agent", PHONE)][..], "click"),
        ("GET", &[], "click"),
        ("HEAD", &[("user-agent", PHONE)], "head"),
        ("HEAD", &[CRAWLER, ("purpose", "prefetch")], "head"),
        ("GET", &[CRAWLER], "bot"),
        ("GET", &[("user-agent", PHONE), ("Sec-Purpose", "prefetch")], "prefetch"),
        ("GET", &[("user-agent", PHONE), ("sec-purpose", "prefetch;prerender")], "prefetch"),
        ("GET", &[("user-agent", PHONE), ("sec-purpose", "Prerender")], "prefetch"),
        ("GET", &[("user-agent", PHONE), ("Purpose", "preview")], "prefetch"),
        ("GET", &[("user-agent", PHONE), ("X-Moz", "prefetch")], "prefetch"),
        ("GET", &[("user-agent", PHONE), ("purpose", ""), ("purpose", "prefetch")], "prefetch"),
        ("GET", &[("user-agent", PHONE), ("sec-purpose", "fetch")], "click"),
        ("GET", &[CRAWLER, ("purpose", "prefetch")], "prefetch"),
    ] {
        let click = answer(method, "/c/bare", None, headers).unwrap().click;
        assert_eq!(click.visitor.kind.as_str(), kind, "{method} {headers:?}");
        assert_eq!(click.is_counted(), kind == "click");
    }
}

#[test]
fn of_the_referrer_only_the_host_is_kept() {
    for (referrer, expected) in [
        ("https://News.Example/article?mail=ana@example.com", Some("news.example")),
        ("http://news.example:8080", Some("news.example")),
        ("https://user:secret@news.example/x", Some("news.example")),
        ("https://news.example#part", Some("news.example")),
        ("https://news.example\\@evil.example/", Some("news.example")),
        ("https://[2001:db8::1]:443/x", Some("2001:db8::1")),
        ("android-app://com.example.app/", Some("com.example.app")),
        ("news.example/x", None),
        ("about:blank", None),
        ("https:///x", None),
        ("https://a b/", None),
        ("", None),
    ] {
        let kept = visitor(&[("referer", referrer)]).referrer_host;
        assert_eq!(
            kept.as_ref().map(|(host, is_cut)| (host.as_str(), *is_cut)),
            expected.map(|host| (host, false)),
            "{referrer}"
        );
    }
    let long = format!("https://{}.example/", "x".repeat(200));
    let (host, is_cut) = visitor(&[("referer", &long)]).referrer_host.unwrap();
    assert!(is_cut && host.len() == VALUE_BYTES_MAX);
}

#[test]
fn a_country_is_two_letters_of_the_configured_header() {
    for (header, value, expected) in [
        ("cf-ipcountry", "BR", Some("BR")),
        ("CF-IPCountry", "br", Some("BR")),
        ("cf-ipcountry", "XX", None),
        ("cf-ipcountry", "T1", None),
        ("cf-ipcountry", "BRA", None),
        ("cf-ipcountry", "B", None),
        ("cf-ipcountry", "", None),
        ("x-country", "BR", None),
    ] {
        let geo = visitor(&[(header, value)]).geo;
        assert_eq!(geo.as_ref().map(|geo| geo.as_str()), expected, "{header}: {value}");
    }
}

#[test]
fn address_and_user_agent_are_whole_with_consent_only() {
    for (query, has_consent) in [
        ("", false),
        ("?consent_analytics=0", false),
        ("?consent_ads=1", false),
        ("?consent_analytics=yes", false),
        ("?consent_analytics=1", true),
    ] {
        for (peer, forwarded, whole, prefix) in [
            ("198.51.100.77", "203.0.113.9", "198.51.100.77", "198.51.100.0"),
            ("10.1.2.3", "203.0.113.9", "203.0.113.9", "203.0.113.0"),
            ("10.1.2.3", "192.0.2.1, 203.0.113.9, 10.9.9.9", "203.0.113.9", "203.0.113.0"),
            ("2001:db8:42:1::9", "203.0.113.9", "2001:db8:42:1::9", "2001:db8:42::"),
            ("10.1.2.3", "2001:db8:42:1::9", "2001:db8:42:1::9", "2001:db8:42::"),
        ] {
            let headers = [("user-agent", PHONE), ("x-forwarded-for", forwarded)];
            let visitor =
                answer("GET", &format!("/c/bare{query}"), Some(peer), &headers).unwrap().click.visitor;
            let case = format!("{query} {peer} {forwarded}");
            assert_eq!(visitor.ip_prefix.map(|ip| ip.to_string()).as_deref(), Some(prefix), "{case}");
            assert_eq!(
                visitor.ip.map(|ip| ip.to_string()).as_deref(),
                has_consent.then_some(whole),
                "{case}"
            );
            assert_eq!(visitor.agent.as_ref().map(|agent| agent.as_str()), Some("Chrome/141 Android"));
            assert_eq!(visitor.user_agent.as_deref(), has_consent.then_some(PHONE), "{case}");
            assert_eq!(visitor.device_class.as_str(), "mobile");
        }
    }
    let unknown = answer("GET", "/c/bare?consent_analytics=1", None, &[]).unwrap().click.visitor;
    assert_eq!((unknown.ip, unknown.ip_prefix, unknown.user_agent, unknown.agent), (None, None, None, None));
}

#[test]
fn a_log_line_has_words_of_ours_alone() {
    let path =
        "/c/bare?sub1={click}&sub2=ana@example.com&sub3=secret&utm_term=".to_owned() + &"y".repeat(200);
    let headers = [("user-agent", PHONE), ("referer", "https://news.example/ana")];
    let click = answer("GET", &path, Some("203.0.113.9"), &headers).unwrap().click;
    let expected = r#"{"code":"click_stored","campaign":"bare","partner":"sandbox","kind":"click","counted":true,"unreplaced":["sub1"],"personal":["sub2"],"cut":["utm_term"]}"#;
    assert_eq!(click.to_json("click_stored"), expected);
}

#[test]
fn the_redirector_asks_for_the_keys_of_click_ids_alone() {
    let document = r#"{
      "version": 1, "environment": "production",
      "click_id": { "keys": [{ "id": "c1", "secret": { "name": "click_key" } }] },
      "receipt": { "secret": { "name": "receipt_key" } },
      "attestation": { "secret": { "name": "hop_key" } },
      "privacy": { "salt": { "name": "privacy_salt" } },
      "campaigns": { "summer": { "partner": "acme", "landing": "https://casino.example/" } },
      "partners": { "acme": { "signature": { "keys": [{ "id": "k1", "secret": { "name": "acme_key" } }] } } }
    }"#;
    assert_eq!(Redirector::secret_names(document).unwrap(), ["click_key"]);
    let mut asked = Vec::new();
    let redirector = Redirector::compile(document, &mut |name| {
        asked.push(name.to_owned());
        Some(vec![b'k'; 32])
    });
    assert!(redirector.unwrap().campaigns.contains_key("summer"));
    assert_eq!(asked, ["click_key"]);

    let errors = Redirector::compile(document, &mut |_| Some(b"short".to_vec())).unwrap_err();
    assert_eq!(
        errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(),
        ["click_id.keys[0].secret.name"]
    );
    let keyless = document.replace(
        r#"{ "keys": [{ "id": "c1", "secret": { "name": "click_key" } }] }"#,
        r#"{ "verify": "off" }"#,
    );
    let errors = Redirector::compile(&keyless, &mut |_| None).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), ["click_id.keys"]);
    let evil = document.replace("https://casino.example/", "//evil.example");
    let errors = Redirector::compile(&evil, &mut |_| Some(vec![b'k'; 32])).unwrap_err();
    assert_eq!(
        errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(),
        ["campaigns.summer.landing"]
    );
}

/// The columns with a text, the flags, and the lists.
fn told(query: &str) -> String {
    let read = Parameters::read(query);
    let texts = PARAMETERS.iter().zip(&read.texts).filter_map(|(name, text)| Some((name, text.as_ref()?)));
    let mut told: Vec<String> = texts.map(|(name, text)| format!("{name}={text}")).collect();
    let flags = [("analytics", read.consent_analytics), ("ads", read.consent_ads)];
    told.extend(flags.iter().filter_map(|(name, flag)| Some(format!("{name}={}", (*flag)?))));
    let lists = [
        ("cut", &read.cut),
        ("unreplaced", &read.unreplaced),
        ("personal", &read.personal),
        ("joined", &read.joined),
    ];
    told.extend(
        lists.iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| format!("{name}:{list:?}")),
    );
    told.join(" ")
}

#[test]
fn a_query_is_read_as_a_form_encodes_it() {
    for (query, expected) in [
        ("", ""),
        ("&&=&=x&sub1", ""),
        ("sub1=", ""),
        ("sub1=a&sub1=b", "sub1=a"),
        ("sub1=&sub1=b", "sub1=b"),
        ("sub1=a=b", "sub1=a=b"),
        ("sub1=a+b%20c", "sub1=a b c"),
        ("sub1=S%C3%A3o", "sub1=São"),
        ("sub1=São", "sub1=São"),
        ("sub1=%2", "sub1=%2"),
        ("sub1=100%", "sub1=100%"),
        ("sub1=%zz", "sub1=%zz"),
        ("sub1=%ff", "sub1=\u{fffd}"),
        ("sub1=a%0d%0aSet-Cookie:b", "sub1=a\u{fffd}\u{fffd}Set-Cookie:b"),
        ("sub1=a%00b", "sub1=a\u{fffd}b"),
        ("s%75b1=a", "sub1=a"),
        ("SUB1=a", ""),
        (
            "utm_source=n&utm_medium=cpc&utm_campaign=c&utm_term=t&utm_content=x",
            "utm_source=n utm_medium=cpc utm_campaign=c utm_term=t utm_content=x",
        ),
        ("sub2=b&sub3=c&sub4=d&sub5=e&sub6=f&creative_id=77", "sub2=b sub3=c sub4=d sub5=e creative_id=77"),
        ("aff_sub=a&aff_sub2=b&aff_sub3=c&aff_sub4=d&aff_sub5=e", "sub1=a sub2=b sub3=c sub4=d sub5=e"),
        ("aff_sub=a&sub1=b", "sub1=a"),
        ("name=Ana&phone=5511999&gclid=x", ""),
    ] {
        assert_eq!(told(query), expected, "{query}");
    }
}

#[test]
fn a_link_that_went_through_html_keeps_its_parameters_or_is_named() {
    for (query, expected) in [
        (
            "utm_source=news&amp;sub1=banner-7&amp;utm_campaign=caf%C3%A9",
            "utm_source=news utm_campaign=café sub1=banner-7",
        ),
        ("utm_source=news&AMP;sub1=a", "utm_source=news sub1=a"),
        ("utm_source=news&amp;amp;sub1=a", "utm_source=news sub1=a"),
        ("utm_source=news&amp%3Bsub1=a", "utm_source=news sub1=a"),
        ("amp;utm_source=news", "utm_source=news"),
        ("utm_source=news&amp;consent_analytics=1", "utm_source=news analytics=true"),
        ("utm_source=news&amp;", "utm_source=news"),
        // An encoded separator is part of the value, and so is a semicolon: the log line names the link.
        (
            "utm_source=news%26amp%3Bsub1%3Dbanner-7",
            "utm_source=news&amp;sub1=banner-7 joined:[\"utm_source\"]",
        ),
        ("utm_source=news;sub1=x", "utm_source=news;sub1=x joined:[\"utm_source\"]"),
        ("utm_source=news%26aff_sub%3Dx", "utm_source=news&aff_sub=x joined:[\"utm_source\"]"),
        ("sub1=a;consent_ads=1", "sub1=a;consent_ads=1 joined:[\"sub1\"]"),
        // Nobody's parameter.
        ("sub1=fish%26chips", "sub1=fish&chips"),
        ("sub1=a;b=c", "sub1=a;b=c"),
        ("sub1=utm_source=x", "sub1=utm_source=x"),
    ] {
        assert_eq!(told(query), expected, "{query}");
    }
    let click = answer("GET", "/c/bare?utm_source=news%26amp%3Bsub1%3Dbanner-7", None, &[]).unwrap().click;
    let line = r#"{"code":"click_stored","campaign":"bare","partner":"sandbox","kind":"click","counted":true,"joined":["utm_source"]}"#;
    assert_eq!(click.to_json("click_stored"), line);
}

#[test]
fn consent_is_said_with_one_or_zero() {
    for (query, expected) in [
        (
            "consent_version=2026-1&consent_analytics=1&consent_ads=0",
            "consent_version=2026-1 analytics=true ads=false",
        ),
        ("consent_analytics=true&consent_ads=yes", ""),
        ("consent_analytics=0&consent_analytics=1", "analytics=false"),
        ("consent_analytics=%31", ""),
    ] {
        assert_eq!(told(query), expected, "{query}");
    }
}

#[test]
fn a_macro_that_nobody_replaced_is_named_and_not_kept() {
    for (value, is_macro) in [
        ("{sub1}", true),
        ("%7Bsub1%7D", true),
        ("${SUB}", true),
        ("[[sub]]", true),
        ("%5B%5Bsub%5D%5D", true),
        ("%CLICKID%", true),
        ("%ADID%", true),
        ("%25ADID%25", true),
        ("{}", false),
        ("a{sub1}", true),
        ("{a b}", true),
        ("a{b", false),
        ("50%", false),
    ] {
        let read = Parameters::read(&format!("sub1={value}&sub2=kept"));
        assert_eq!(read.unreplaced == ["sub1"], is_macro, "{value}");
        assert_eq!(read.texts[5].is_none(), is_macro, "{value}");
        assert_eq!(read.texts[6].as_deref(), Some("kept"));
    }
    assert_eq!(told("sub1={a}&sub1=b"), "unreplaced:[\"sub1\"]", "the first of a name counts");
}

#[test]
fn what_looks_like_an_email_address_is_not_kept() {
    for (value, is_email) in [
        ("ana@example.com", true),
        ("ana%40example.com", true),
        ("ana%2540example.com", true),
        ("Ana+Silva+%3Cana.silva%2B1%40mail.example.com.br%3E", true),
        ("mailto:ana@example.co", true),
        ("jos\u{e9}@ex\u{e1}mple.com", true),
        ("a@b.c", true),
        ("@brand.com", false),
        ("a@b", false),
        ("a @b.c", false),
        ("a@.c", false),
        ("a@b.", false),
        ("50%40", false),
        ("@", false),
    ] {
        let read = Parameters::read(&format!("sub1={value}"));
        assert_eq!(read.personal == ["sub1"], is_email, "{value}");
        assert_eq!(read.texts[5].is_none(), is_email, "{value}");
    }
    let long = format!("sub1={}ana@example.com", "x".repeat(VALUE_BYTES_MAX));
    assert_eq!(told(&long), "personal:[\"sub1\"]", "the address would have been cut off");
}

#[test]
fn a_value_of_128_bytes_is_whole_and_a_longer_one_is_cut() {
    let fits = "x".repeat(VALUE_BYTES_MAX);
    assert_eq!(told(&format!("sub1={fits}")), format!("sub1={fits}"));
    assert_eq!(told(&format!("sub1={fits}x")), format!("sub1={fits} cut:[\"sub1\"]"));
    // A character of two bytes does not fit into the last one.
    let read = Parameters::read(&format!("sub1=x{}", "é".repeat(VALUE_BYTES_MAX)));
    assert_eq!(read.texts[5].as_deref().map(str::len), Some(VALUE_BYTES_MAX - 1));
}

#[test]
fn a_query_over_the_limit_is_read_up_to_it() {
    let filler = "x".repeat(QUERY_BYTES_MAX - "sub1=a&f=".len());
    assert_eq!(told(&format!("sub1=a&f={filler}")), "sub1=a");
    assert_eq!(told(&format!("sub1=a&f={filler}&sub2=b")), "sub1=a cut:[\"query\"]");
    let many = "f=x&".repeat(PARAMETERS_READ_MAX - 1);
    assert_eq!(told(&format!("{many}sub1=a")), "sub1=a");
    assert_eq!(told(&format!("{many}f=x&sub1=a")), "cut:[\"query\"]");
}
