//! What operators ask of the scheduler itself, over HTTP.

use serde_json::json;

use crate::{PROBLEM, site::Site};

// Scenario 77; the cluster's own tests prune something.
#[actix_rt::test]
async fn only_what_has_ended_is_pruned() {
    let site = Site::start();
    let path = "/api/v1/admin/prune";
    let refused = site.post(path, &json!({"role": "r", "statuses": ["LOST", "RUNNING"]})).await;
    assert_eq!((refused.status, refused.header("content-type")), (422, Some(PROBLEM)));
    let problem = refused.json();
    assert_eq!(problem["errors"][0]["pointer"], "/statuses/1");
    assert_eq!(problem["detail"], "a run that is RUNNING has not ended");
    assert_eq!(site.post(path, &json!({"roll": "r"})).await.status, 400);
    let pruned = site.post(path, &json!({"role": "r", "statuses": ["LOST"], "limit": 2})).await;
    assert_eq!((pruned.status, pruned.json()), (200, json!({"pruned": 0})));
    site.stop().await;
}
