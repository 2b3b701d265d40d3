//! What a client's address and user agent say, and the coarse form in which they may be kept (source §9, §10).
//!
//! The rules for user agents are few on purpose: they tell classes apart, not models, and every answer is one of a closed set
//! of words, so nothing that a client wrote gets through but a version's digits.

use alloc::string::String;
use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use countersign_core::event::UA_BYTES_MAX;
use countersign_core::text::Text;

/// The address's network: the /24 of an IPv4 address, the /48 of an IPv6 one, whose other bits are zero.
///
/// These are what a provider gives to a street or a site, not to a person. An IPv4-mapped IPv6 address is the IPv4 address.
#[must_use]
pub fn truncate_ip(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80))),
    }
}

/// The kind of device behind a user agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceClass {
    /// A phone.
    Mobile,
    /// A tablet. An iPad that asks for desktop sites says that it is a Mac, and counts as [`DeviceClass::Desktop`].
    Tablet,
    /// A computer.
    Desktop,
    /// A television, or a box beside one.
    Tv,
    /// A program of its own: a crawler, a link preview, a script.
    Bot,
    /// None of these can be told.
    #[default]
    Unknown,
}

impl DeviceClass {
    /// Every class.
    pub const ALL: [Self; 6] =
        [Self::Mobile, Self::Tablet, Self::Desktop, Self::Tv, Self::Bot, Self::Unknown];

    /// The word that it is stored as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Desktop => "desktop",
            Self::Tv => "tv",
            Self::Bot => "bot",
            Self::Unknown => "unknown",
        }
    }

    /// The class of that word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// The device class of a user agent; only its first [`UA_BYTES_MAX`] bytes count.
#[must_use]
pub fn device_class(user_agent: &str) -> DeviceClass {
    let agent = lower(user_agent);
    if has_bot_mark(&agent) {
        return DeviceClass::Bot;
    }
    let has = |marks: &[&str]| marks.iter().any(|mark| agent.contains(mark));
    // The first that applies. A tablet's agent has every mark of a phone's but "mobile", and a television's may have any. That an
    // agent has no "mobile" says something only where it is whole: `Chrome/141 Android` is what was kept of one.
    if has(TELEVISION) {
        DeviceClass::Tv
    } else if has(TABLET) || (agent.contains("android") && agent.contains('(') && !agent.contains("mobile")) {
        DeviceClass::Tablet
    } else if has(PHONE) {
        DeviceClass::Mobile
    } else if has(COMPUTER) {
        DeviceClass::Desktop
    } else {
        DeviceClass::Unknown
    }
}

/// A country as a proxy or a sender writes it, in upper case. `XX` stands for none, and `T1` (Tor) is none.
#[must_use]
pub fn country(value: &[u8]) -> Option<Text<2>> {
    let letters = core::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_alphabetic()))?;
    let code = letters.to_ascii_uppercase();
    if code.len() == 2 && code != "XX" { Text::new(&code) } else { None }
}

/// Whether a user agent says that it is a program of its own, such as a crawler. One that hides this is not found here.
#[must_use]
pub fn is_bot(user_agent: &str) -> bool {
    has_bot_mark(&lower(user_agent))
}

/// A user agent's product, its major version, and the system: `Chrome/141 Android`, `Safari/18 iOS`, `Other`.
///
/// The words come from a closed list, and a version has at most four digits. A [`is_bot`] is `Bot`.
#[must_use]
pub fn reduce_user_agent(user_agent: &str) -> Text<32> {
    let agent = lower(user_agent);
    let mut reduced = Text::EMPTY;
    if has_bot_mark(&agent) {
        // The longest reduction, `Opera Mini/1234 ChromeOS`, has 24 bytes; here and below all fits.
        let _fits = reduced.push_str("Bot");
        return reduced;
    }
    let product = PRODUCTS.iter().find_map(|(mark, name)| {
        let (_, after) = agent.split_once(mark)?;
        Some((*name, after))
    });
    let _fits = match product {
        Some((name, after)) => {
            // Safari writes its version elsewhere: `Version/18.1 … Safari/605.1.15`.
            let version = match agent.split_once("version/") {
                Some((_, version)) if name == "Safari" => version,
                _ => after,
            };
            match major(version) {
                Some(major) => write!(reduced, "{name}/{major}").ok(),
                None => reduced.push_str(name),
            }
        }
        None => reduced.push_str("Other"),
    };
    if let Some((_, system)) = SYSTEMS.iter().find(|(mark, _)| agent.contains(mark)) {
        let _fits = write!(reduced, " {system}");
    }
    reduced
}

/// The start of an agent, in lower case.
fn lower(user_agent: &str) -> String {
    let end = user_agent.floor_char_boundary(UA_BYTES_MAX);
    user_agent.get(..end).unwrap_or_default().to_ascii_lowercase()
}

fn has_bot_mark(agent: &str) -> bool {
    // `Googlebot/2.1`, `bingbot;`, `AdsBot-Google`: a word that ends in "bot". Cubot is a maker of telephones.
    let word = agent.match_indices("bot").any(|(at, bot)| {
        let before = agent.get(..at).unwrap_or_default();
        let after = agent.get(at.saturating_add(bot.len())..).unwrap_or_default();
        !before.ends_with("cu") && !after.starts_with(|next: char| next.is_ascii_alphabetic())
    });
    word || BOT.iter().any(|mark| agent.contains(mark))
}

/// The whole digits at the start, up to four.
fn major(version: &str) -> Option<&str> {
    let end = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
    version.get(..end).filter(|digits| (1..=4).contains(&digits.len()))
}

const BOT: &[&str] = &[
    "crawler",
    "spider",
    "slurp",
    "headless",
    "phantomjs",
    "lighthouse",
    "facebookexternalhit",
    "whatsapp/",
    "mediapartners-google",
    "google-inspectiontool",
    "curl/",
    "wget/",
    "python-",
    "python/",
    "scrapy",
    "go-http-client",
    "libwww",
    "apache-httpclient",
    "java/",
    "node-fetch",
    "axios/",
    "postmanruntime",
];
const TELEVISION: &[&str] = &[
    "smart-tv",
    "smarttv",
    "smart tv",
    "googletv",
    "google tv",
    "android tv",
    "appletv",
    "apple tv",
    "hbbtv",
    "crkey",
    "bravia",
    "roku",
    "web0s",
    "netcast",
    "; aft",
    "playstation",
    "xbox",
];
const TABLET: &[&str] = &["ipad", "tablet", "playbook", "kindle", "silk/"];
const PHONE: &[&str] = &["mobile", "iphone", "ipod", "windows phone", "opera mini", "okhttp/"];
const COMPUTER: &[&str] = &["windows nt", "macintosh", "x11", "cros ", "linux"];

/// Marks, and the product's name; the first that an agent has counts, for most of them also carry the later ones.
const PRODUCTS: &[(&str, &str)] = &[
    ("fban/", "Facebook"),
    ("fbav/", "Facebook"),
    ("instagram ", "Instagram"),
    ("musical_ly_", "TikTok"),
    ("bytedancewebview", "TikTok"),
    ("edga/", "Edge"),
    ("edgios/", "Edge"),
    ("edg/", "Edge"),
    ("edge/", "Edge"),
    ("opr/", "Opera"),
    ("opios/", "Opera"),
    ("opera mini/", "Opera Mini"),
    ("samsungbrowser/", "Samsung"),
    ("yabrowser/", "Yandex"),
    ("ucbrowser/", "UC"),
    ("miuibrowser/", "Miui"),
    ("silk/", "Silk"),
    ("firefox/", "Firefox"),
    ("fxios/", "Firefox"),
    ("crios/", "Chrome"),
    ("chrome/", "Chrome"),
    ("safari/", "Safari"),
    ("msie ", "IE"),
    ("trident/", "IE"),
    ("okhttp/", "okhttp"),
    ("cfnetwork/", "CFNetwork"),
];

/// Marks, and the system's name; the first that an agent has counts.
const SYSTEMS: &[(&str, &str)] = &[
    ("windows", "Windows"),
    ("android", "Android"),
    ("iphone", "iOS"),
    ("ipad", "iOS"),
    ("ipod", "iOS"),
    ("cros ", "ChromeOS"),
    ("tizen", "Tizen"),
    ("web0s", "webOS"),
    ("macintosh", "macOS"),
    ("linux", "Linux"),
];
