//! Who one is, who others are, and what they may do.

use airglow_web::api::{
    AddUser, CreateToken, Credentials, Issued, Secret, SetGrants, SetPassword, TokenSummary,
    UserSummary, WhoAmI,
};
use serde_json::json;

use super::{Client, Result, segment};

impl Client {
    pub(crate) fn log_in(&self, credentials: &Credentials) -> Result<Issued> {
        self.post("/login", credentials)
    }

    pub(crate) fn log_out(&self) -> Result<()> {
        self.done("POST", "/logout", &json!({}))
    }

    pub(crate) fn whoami(&self) -> Result<WhoAmI> {
        self.get("/whoami", &[])
    }

    pub(crate) fn users(&self) -> Result<Vec<UserSummary>> {
        self.pages("/users", &[])
    }

    pub(crate) fn add_user(&self, user: &AddUser) -> Result<UserSummary> {
        self.post("/users", user)
    }

    pub(crate) fn remove_user(&self, name: &str) -> Result<()> {
        self.delete(&format!("/users/{}", segment(name)))
    }

    pub(crate) fn grant(&self, name: &str, grants: Vec<String>) -> Result<()> {
        self.done("PUT", &format!("/users/{}/grants", segment(name)), &SetGrants { grants })
    }

    pub(crate) fn set_password(&self, name: &str, password: Secret) -> Result<()> {
        let path = format!("/users/{}/password", segment(name));
        self.done("PUT", &path, &SetPassword { password })
    }

    pub(crate) fn tokens(&self, user: &str) -> Result<Vec<TokenSummary>> {
        self.pages(&format!("/users/{}/tokens", segment(user)), &[])
    }

    pub(crate) fn create_token(&self, user: &str, wanted: &CreateToken) -> Result<Issued> {
        self.post(&format!("/users/{}/tokens", segment(user)), wanted)
    }

    pub(crate) fn revoke_token(&self, user: &str, id: &str) -> Result<()> {
        self.delete(&format!("/users/{}/tokens/{}", segment(user), segment(id)))
    }
}
