# Pub/Sub for the shop: topics, subscriptions and dead letters (pubsub.tf.json), and who may use them (access.tf.json).
# Those two are generated; `node scripts/terraform.ts` writes them anew. docs/deployment.md says the rest.
terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.0"
    }
  }
}

provider "google" {
  project = var.project_id
}

variable "project_id" {
  description = "The Google Cloud project; GOOGLE_CLOUD_PROJECT of the processes."
  type        = string
}

data "google_project" "this" {
  project_id = var.project_id
}

output "service_accounts" {
  description = "The service account that each process runs as."
  value = {
    order-service  = google_service_account.order_service.email
    order-worker   = google_service_account.order_worker.email
    order-relay    = google_service_account.order_relay.email
    order-operator = google_service_account.order_operator.email
  }
}
