//! Who may use the API.

use std::fmt;

use airglow_model::machine::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A password or a token. Nothing that prints a value prints it.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Who somebody says they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    pub user: String,
    pub password: Secret,
    /// How long what is answered is good for: twelve hours, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<u64>,
}

/// What to send as `Authorization: Bearer …` from now on. It is shown this once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Issued {
    /// The part of it that is no secret.
    pub id: String,
    pub user: String,
    pub token: Secret,
    #[schema(value_type = u64)]
    pub expires_at: Timestamp,
}

/// Who asks, and what they may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// `anonymous` where nobody has to say who they are.
    pub user: String,
    pub grants: Vec<String>,
    /// What this token is limited to, besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UserSummary {
    pub name: String,
    /// `admin`, `read-only`, or `VERB[,VERB…][:ROLE[/ENVIRONMENT[/NAME]]]`.
    pub grants: Vec<String>,
    /// Whoever has none can use tokens only.
    pub has_password: bool,
    pub tokens: u32,
    pub sessions: u32,
    #[schema(value_type = u64)]
    pub created_at: Timestamp,
    pub created_by: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    pub name: String,
    /// Absent: the user can use tokens only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    pub grants: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetGrants {
    pub grants: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    pub password: Secret,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it may do at most, of what its user may. Absent: all of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<String>>,
    /// 90 days, if nothing is said; ten years at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<u64>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A token or a login, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenSummary {
    pub id: String,
    pub user: String,
    /// `token`, or `session` for what a login made.
    pub purpose: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    #[schema(value_type = u64)]
    pub created_at: Timestamp,
    pub created_by: String,
    #[schema(value_type = u64)]
    pub expires_at: Timestamp,
    /// Give or take ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub used_at: Option<Timestamp>,
}
