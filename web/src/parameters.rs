//! Nothing that is asked for is ignored: a query parameter that an endpoint does not know is refused
//! with the names of those that it does. They are the documented ones, so none can be forgotten.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpRequest, web::Query};
use serde_json::Value;

use crate::{api::Problem, openapi};

/// The names that each endpoint of the API knows, by its path as it is documented.
pub(crate) struct Parameters(BTreeMap<String, BTreeSet<String>>);

impl Parameters {
    pub(crate) fn documented() -> Self {
        let document = openapi::document();
        let paths = document["paths"].as_object().into_iter().flatten();
        Self(paths.map(|(path, methods)| (path.clone(), names(methods))).collect())
    }

    /// Pages are left alone: what is in their addresses may come from anywhere.
    pub(crate) fn check(&self, path: Option<&str>, query: &str) -> Result<(), Problem> {
        let path = path.map(|it| it.replace(":.*}", "}"));
        let Some(known) = path.and_then(|it| self.0.get(&it)) else { return Ok(()) };
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

/// Of the reading methods: what is posted says all it wants in its body.
fn names(methods: &Value) -> BTreeSet<String> {
    let parameters = methods["get"]["parameters"].as_array().into_iter().flatten();
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
        let refused = |path, query| parameters.check(Some(path), query).err().map(|it| it.detail);
        assert_eq!(refused("/api/v1/jobs", "role=www&name=a"), None);
        let why = refused("/api/v1/jobs", "roel=www").unwrap();
        assert_eq!(why, "there is no query parameter roel; known here: environment, name, role");
        let files = "/api/v1/tasks/{task_id}/files/{path:.*}";
        assert_eq!(refused(files, "offset=3&download"), None);
        assert!(refused(files, "lenght=3").unwrap().contains("length"));
        assert!(refused("/api/v1/tiers", "x=1").unwrap().contains("none is known"));
        assert_eq!(refused("/task/{task_id}", "utm=1"), None);
    }
}
