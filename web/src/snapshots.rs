//! Backups of the cluster's memory, made while everything goes on.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Json, block},
};
use airglow_model::audit::Target;
use airglow_scheduler::{Backup, BackupError, BackupFailure, NoBackup};

use crate::{
    Site,
    api::{Problem, Snapshot, SnapshotFailure, Snapshots},
    audit::{Deed, audited},
};

/// Make a backup now, and read it back. It is on the scheduler's machine then.
#[utoipa::path(post, path = "/api/v1/snapshots", tag = "cluster", responses(
    (status = 201, body = Snapshot),
    (status = 507, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn make(site: Data<Site>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let deed = Deed::new("snapshot", Target::Cluster);
    audited(&site, &request, deed, move |site| async move {
        let backup = site.scheduler.back_up().await?;
        Ok(HttpResponse::Created().json(Snapshot::from(backup)))
    })
    .await
}

/// The backups that are on the scheduler's machine, and how the last one went.
#[utoipa::path(get, path = "/api/v1/snapshots", tag = "cluster", responses(
    (status = 200, body = Snapshots),
))]
pub(crate) async fn list(site: Data<Site>) -> Result<Json<Snapshots>, Problem> {
    let scheduler = site.scheduler.clone();
    let cluster = site.scheduler.limits().cluster.clone();
    let backups = block(move || scheduler.backups()).await??;
    let ours = backups.into_iter().rev().filter(|it| it.name.cluster == cluster);
    let plan = site.scheduler.backup_plan();
    let failure = site.scheduler.backup_stats().failure();
    Ok(Json(Snapshots {
        items: ours.map(Snapshot::from).collect(),
        folder: plan.folder.as_deref().map_or_else(String::new, |it| it.display().to_string()),
        every_secs: plan.every.map(|it| it.as_secs()),
        keep: plan.keep,
        failure: failure.map(|BackupFailure { at, why }| SnapshotFailure { at, why }),
    }))
}

impl From<Backup> for Snapshot {
    fn from(Backup { name, path, bytes }: Backup) -> Self {
        Self {
            name: name.to_string(),
            path: path.display().to_string(),
            made_at: name.at,
            seq: name.seq,
            bytes,
        }
    }
}

impl From<NoBackup> for Problem {
    fn from(none: NoBackup) -> Self {
        match none {
            NoBackup::NotNow(refusal) => refusal.into(),
            // Another attempt at once would fare no better.
            NoBackup::Failed(why) => Self::new(StatusCode::INSUFFICIENT_STORAGE, why),
        }
    }
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}
