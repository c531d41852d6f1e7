//! Places that are being made for those who wait.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A host where others have to leave first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlaceMade {
    pub host: String,
    /// `role/environment/name/instance` of each that has been asked to give way and is there yet.
    pub ending: Vec<String>,
}

/// So many of them are named.
const NAMED: usize = 3;

impl PlaceMade {
    /// Those who have to leave, as they are told in a sentence.
    pub fn named(&self) -> String {
        let named: Vec<&str> = self.ending.iter().take(NAMED).map(String::as_str).collect();
        match self.ending.len() - named.len() {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_the_others_counted() {
        let told = |count: u32| {
            let ending = (0..count).map(|it| format!("w/p/b/{it}")).collect();
            PlaceMade { host: "h1".into(), ending }.named()
        };
        assert_eq!(told(1), "w/p/b/0");
        assert_eq!(told(5), "w/p/b/0, w/p/b/1, w/p/b/2 and 2 more");
    }
}
