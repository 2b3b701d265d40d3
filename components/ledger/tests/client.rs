//! Addresses and user agents: by table.
#![cfg(test)]

use std::net::IpAddr;

use countersign_ledger::client::{DeviceClass, device_class, is_bot, reduce_user_agent, truncate_ip};

#[test]
fn an_address_is_cut_to_its_network() {
    for (address, network) in [
        ("203.0.113.7", "203.0.113.0"),
        ("203.0.113.255", "203.0.113.0"),
        ("255.255.255.255", "255.255.255.0"),
        ("0.0.0.0", "0.0.0.0"),
        ("::ffff:203.0.113.7", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::"),
        ("::1", "::"),
    ] {
        let cut = truncate_ip(address.parse().unwrap());
        assert_eq!(cut.to_string(), network, "{address}");
        assert_eq!(truncate_ip(cut), cut, "{address}: cutting again changes nothing");
    }
    let one: IpAddr = "198.51.100.1".parse().unwrap();
    assert_ne!(truncate_ip(one), truncate_ip("198.51.101.1".parse().unwrap()));
}

/// Agent, reduced form, device class.
#[rustfmt::skip]
const AGENTS: &[(&str, &str, DeviceClass)] = &[
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36", "Chrome/141 Android", DeviceClass::Mobile),
    ("Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36", "Chrome/141 Android", DeviceClass::Tablet),
    ("Mozilla/5.0 (Linux; Android 14; CUBOT NOTE 50) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome/140 Android", DeviceClass::Mobile),
    ("Mozilla/5.0 (Linux; Android 14; SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", "Samsung/28 Android", DeviceClass::Mobile),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1", "Safari/18 iOS", DeviceClass::Mobile),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0.7390.41 Mobile/15E148 Safari/604.1", "Chrome/141 iOS", DeviceClass::Mobile),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/131.0 Mobile/15E148 Safari/605.1.15", "Firefox/131 iOS", DeviceClass::Mobile),
    ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1", "Safari/17 iOS", DeviceClass::Tablet),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/485.1.0]", "Facebook iOS", DeviceClass::Mobile),
    ("Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/118.0.0.0 Mobile Safari/537.36 Instagram 307.0.0.34 Android", "Instagram/307 Android", DeviceClass::Mobile),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36", "Chrome/141 Windows", DeviceClass::Desktop),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0", "Edge/141 Windows", DeviceClass::Desktop),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox/143 Windows", DeviceClass::Desktop),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36 OPR/123.0.0.0", "Opera/123 Windows", DeviceClass::Desktop),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15", "Safari/26 macOS", DeviceClass::Desktop),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox/143 Linux", DeviceClass::Desktop),
    ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36", "Chrome/141 ChromeOS", DeviceClass::Desktop),
    ("Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", "IE/7 Windows", DeviceClass::Desktop),
    ("Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/108.4.6 like Chrome/108.0.5359.220 Safari/537.36", "Silk/108 Android", DeviceClass::Tablet),
    ("Mozilla/5.0 (Linux; Android 9; AFTMM) AppleWebKit/537.36 (KHTML, like Gecko) Silk/108.4.6 like Chrome/108.0.5359.220 Safari/537.36", "Silk/108 Android", DeviceClass::Tv),
    ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0.5359.211 Safari/537.36 WebAppManager", "Chrome/108 webOS", DeviceClass::Tv),
    ("Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/4.0 Chrome/94.0.4606.31 TV Safari/537.36", "Samsung/4 Tizen", DeviceClass::Tv),
    ("okhttp/4.12.0", "okhttp/4", DeviceClass::Mobile),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Bot", DeviceClass::Bot),
    ("Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)", "Bot", DeviceClass::Bot),
    ("AdsBot-Google (+http://www.google.com/adsbot.html)", "Bot", DeviceClass::Bot),
    ("TelegramBot (like TwitterBot)", "Bot", DeviceClass::Bot),
    ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "Bot", DeviceClass::Bot),
    ("WhatsApp/2.23.20.0", "Bot", DeviceClass::Bot),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36", "Bot", DeviceClass::Bot),
    ("curl/8.5.0", "Bot", DeviceClass::Bot),
    ("python-requests/2.32.3", "Bot", DeviceClass::Bot),
    ("Go-http-client/2.0", "Bot", DeviceClass::Bot),
    ("SomethingElse/1.0 by jane.doe@example.com", "Other", DeviceClass::Unknown),
    ("Mozilla/5. 0", "Other", DeviceClass::Unknown),
    ("botanic garden", "Other", DeviceClass::Unknown),
    ("", "Other", DeviceClass::Unknown),
    // A version of more than four digits could be an identifier.
    ("Chrome/14155512345678", "Chrome", DeviceClass::Unknown),
    ("Chrome/", "Chrome", DeviceClass::Unknown),
    ("Chrome/\u{661}", "Chrome", DeviceClass::Unknown),
];

#[test]
fn a_user_agent_is_reduced_and_classed() {
    for (agent, reduced, class) in AGENTS {
        assert_eq!(reduce_user_agent(agent).as_str(), *reduced, "{agent}");
        assert_eq!(device_class(agent), *class, "{agent}");
        assert_eq!(is_bot(agent), *class == DeviceClass::Bot, "{agent}");
        assert_eq!(device_class(&agent.to_uppercase()), *class, "{agent} in capitals");
    }
}

#[test]
fn the_longest_words_fit_and_what_is_beyond_the_limit_does_not_count() {
    assert_eq!(reduce_user_agent("Opera Mini/1234 CrOS x").as_str(), "Opera Mini/1234 ChromeOS");
    assert_eq!(reduce_user_agent("CFNetwork/1234 CrOS x").as_str(), "CFNetwork/1234 ChromeOS");
    assert!(is_bot(&format!("{}bot/1", "x ".repeat(510))), "the mark ends at the 1024th byte");
    assert!(!is_bot(&format!("{}bot/1", "x ".repeat(511))), "the mark is cut off");
    // The limit falls into a character of two bytes.
    assert_eq!(device_class(&format!("x{}", "é".repeat(600))), DeviceClass::Unknown);
}

#[test]
fn a_class_is_stored_as_a_word() {
    for class in DeviceClass::ALL {
        assert_eq!(DeviceClass::named(class.as_str()), Some(class));
    }
    assert_eq!(DeviceClass::named("Mobile"), None);
}
