//! Nothing that is asked for is ignored: a query parameter that an endpoint does not know is refused
//! with the names of those that it does. They are the documented ones, so none can be forgotten.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpRequest, http::Method, web::Query};
use serde_json::Value;

use crate::{api::Problem, openapi};

/// The names that each endpoint of the API knows, by its path as it is documented and its method in
/// small letters.
pub(crate) struct Parameters(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Parameters {
    pub(crate) fn documented() -> Self {
        let document = openapi::document();
        let paths = document["paths"].as_object().into_iter().flatten();
        let names = |methods: &Value| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(|(method, it)| (method.clone(), names(it))).collect()
        };
        Self(paths.map(|(path, methods)| (path.clone(), names(methods))).collect())
    }

    /// Pages are left alone: what is in their addresses may come from anywhere.
    pub(crate) fn check(
        &self,
        method: &Method,
        path: Option<&str>,
        query: &str,
    ) -> Result<(), Problem> {
        let path = path.map(|it| it.replace(":.*}", "}"));
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let method = method.as_str().to_ascii_lowercase();
        let known = path.and_then(|it| self.0.get(&it)?.get(&method));
        let Some(known) = known else { return Ok(()) };
        let wrong = |error| Problem::bad_request(format!("the query cannot be read: {error}"));
        let asked = Query::<Vec<(String, String)>>::from_query(query).map_err(wrong)?;
        let Some((unknown, _)) = asked.iter().find(|(name, _)| !known.contains(name)) else {
            return Ok(());
        };
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let known = match known.as_slice() {
            [] => "none is known here".to_owned(),
            known => format!("known here: {}", known.join(", ")),
        };
        Err(Problem::bad_request(format!("there is no query parameter {unknown}; {known}")))
    }
}

fn names(method: &Value) -> BTreeSet<String> {
    let parameters = method["parameters"].as_array().into_iter().flatten();
    let in_query = parameters.filter(|it| it["in"] == "query");
    in_query.filter_map(|it| it["name"].as_str().map(str::to_owned)).collect()
}

/// As the router will find it, if it is an endpoint's.
pub(crate) fn pattern(request: &HttpRequest) -> Option<String> {
    request.path().starts_with("/api/").then(|| request.match_pattern()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_documented_is_refused_and_what_is_is_named() {
        let parameters = Parameters::documented();
        let check = |method, path, query| {
            parameters.check(&method, Some(path), query).err().map(|it| it.detail)
        };
        let refused = |path, query| check(Method::GET, path, query);
        assert_eq!(refused("/api/v1/jobs", "role=www&name=a"), None);
        let why = refused("/api/v1/jobs", "roel=www").unwrap();
        assert_eq!(why, "there is no query parameter roel; known here: environment, name, role");
        let files = "/api/v1/tasks/{task_id}/files/{path:.*}";
        assert_eq!(refused(files, "offset=3&download"), None);
        assert!(refused(files, "lenght=3").unwrap().contains("length"));
        assert!(refused("/api/v1/tiers", "x=1").unwrap().contains("none is known"));
        assert_eq!(refused("/task/{task_id}", "utm=1"), None);
        assert_eq!(check(Method::HEAD, "/api/v1/jobs", "role=www"), None);
        assert_eq!(check(Method::POST, "/api/v1/jobs", "dry_run=true"), None);
        // Whoever misspells it must not find everything created.
        let why = check(Method::POST, "/api/v1/jobs", "dryrun=true").unwrap();
        assert_eq!(why, "there is no query parameter dryrun; known here: dry_run");
    }
}
