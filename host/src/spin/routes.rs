//! Which component answers a path, by Spin's own rules (`routefinder`, which Spin uses too): exact before `:param` before
//! the trailing wildcard `/...`, the longest prefix first.

use anyhow::{Context as _, anyhow};
use routefinder::{RouteSpec, Router};

/// The public routes of one application.
pub(super) struct Routes {
    router: Router<Route>,
}

/// One `[[trigger.http]]` with a route.
#[derive(Clone, Debug)]
struct Route {
    component: String,
    /// As the manifest has it.
    raw: String,
    /// With the leading slash and without the trailing one, as Spin shows it in `spin-matched-route`.
    based: String,
}

/// A path that a component answers, and what Spin tells the component of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) component: String,
    raw: String,
    based: String,
    trailing: String,
    params: Vec<(String, String)>,
}

impl Routes {
    /// Builds the router from `(manifest path, component, route)`. A route given twice belongs to the last, as in Spin.
    pub(super) fn new(routes: &[(String, String, String)]) -> anyhow::Result<Self> {
        let mut unique: Vec<(&str, Route)> = Vec::new();
        for (path, component, raw) in routes {
            let route = Route { component: component.clone(), raw: raw.clone(), based: based(raw) };
            match unique.iter_mut().find(|(_, known)| known.raw == *raw) {
                Some(known) => *known = (path, route),
                None => unique.push((path, route)),
            }
        }
        let mut router = Router::new();
        for (path, route) in unique {
            let spec = match route.based.strip_suffix("/...") {
                Some(prefix) => format!("{prefix}/*"),
                None => route.based.clone(),
            };
            let spec = RouteSpec::try_from(spec.as_str())
                .map_err(|error| anyhow!("{error}"))
                .with_context(|| format!("{path}.route: {:?} is not a route", route.raw))?;
            router.add(spec, route).map_err(|error| anyhow!("{path}.route: {error:?}"))?;
        }
        Ok(Self { router })
    }

    /// The component that answers `path`, if any.
    pub(super) fn find(&self, path: &str) -> Option<Match> {
        let found = self.router.best_match(path)?;
        let captures = found.captures();
        let route = found.handler();
        // Spin keeps a trailing slash that the router drops.
        let trailing = captures.wildcard().map_or_else(String::new, |rest| {
            match (rest.is_empty(), path.ends_with('/')) {
                (true, false) => String::new(),
                (true, true) => "/".to_owned(),
                (false, false) => format!("/{rest}"),
                (false, true) => format!("/{rest}/"),
            }
        });
        Some(Match {
            component: route.component.clone(),
            raw: route.raw.clone(),
            based: route.based.clone(),
            trailing,
            params: captures.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
    }
}

impl Match {
    /// What a component that is called by name (service chaining) sees: as if it had the route `/...`.
    pub(super) fn chained(component: &str, path: &str) -> Self {
        Self {
            component: component.to_owned(),
            raw: "/...".to_owned(),
            based: "/...".to_owned(),
            trailing: path.to_owned(),
            params: Vec::new(),
        }
    }

    /// The header fields that Spin appends to the request, after those that the sender sent.
    pub(super) fn headers(&self, full_url: String, peer: String) -> Vec<(String, String)> {
        let mut headers = vec![
            ("spin-path-info".to_owned(), self.trailing.clone()),
            ("spin-full-url".to_owned(), full_url),
            ("spin-matched-route".to_owned(), self.based.clone()),
            ("spin-base-path".to_owned(), "/".to_owned()),
            ("spin-raw-component-route".to_owned(), self.raw.clone()),
            (
                "spin-component-route".to_owned(),
                self.raw.strip_suffix("/...").unwrap_or(&self.raw).to_owned(),
            ),
            ("spin-client-addr".to_owned(), peer),
        ];
        let params = self.params.iter();
        headers.extend(params.map(|(name, value)| {
            (format!("spin-path-match-{}", name.replace('_', "-").to_ascii_lowercase()), value.clone())
        }));
        headers
    }
}

fn based(raw: &str) -> String {
    let absolute = if raw.starts_with('/') { raw.to_owned() } else { format!("/{raw}") };
    match absolute.strip_suffix('/') {
        Some(trimmed) => trimmed.to_owned(),
        None => absolute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(list: &[(&str, &str)]) -> Routes {
        let list: Vec<_> = list
            .iter()
            .map(|(route, component)| {
                ("trigger.http[0]".to_owned(), (*component).to_owned(), (*route).to_owned())
            })
            .collect();
        Routes::new(&list).unwrap()
    }

    #[test]
    fn exact_beats_param_beats_wildcard() {
        let routes = routes(&[
            ("/...", "all"),
            ("/postback/:partner", "one"),
            ("/postback/acme", "acme"),
            ("/health", "health"),
        ]);
        for (path, component) in [
            ("/health", "health"),
            ("/postback/acme", "acme"),
            ("/postback/x", "one"),
            ("/postback/x/y", "all"),
            ("/", "all"),
        ] {
            assert_eq!(routes.find(path).unwrap().component, component, "{path}");
        }
    }

    #[test]
    fn a_path_without_a_route_has_no_component() {
        let routes = routes(&[("/a", "a"), ("/b/...", "b")]);
        assert_eq!(routes.find("/c"), None);
        assert_eq!(routes.find("/a/x"), None);
        assert_eq!(routes.find("/b").unwrap().trailing, "");
        assert_eq!(routes.find("/b/").unwrap().trailing, "/");
        assert_eq!(routes.find("/b/x/").unwrap().trailing, "/x/");
    }

    #[test]
    fn the_last_of_equal_routes_wins() {
        assert_eq!(routes(&[("/a", "first"), ("/a", "second")]).find("/a").unwrap().component, "second");
    }
}
