"""Standard names for tables, columns and indexes; three parts of `notice` get tables of their own. From version 0.1."""

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta

from migrations.helpers import Source, change_json, rewrite

STATEMENTS = (
    'CREATE TABLE "user" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "name_key" VARCHAR(255) NOT NULL, "email" VARCHAR(255), "email_key" VARCHAR(255), "pending_email" VARCHAR(255), "password" VARCHAR(255), "language" VARCHAR(255) NOT NULL, "signature" TEXT NOT NULL, "link_serial" INTEGER NOT NULL, "created_at" INTEGER NOT NULL, "seen_at" INTEGER, "disabled_at" INTEGER)',
    'CREATE UNIQUE INDEX "user_name_key" ON "user" ("name_key")',
    'CREATE UNIQUE INDEX "user_email_key" ON "user" ("email_key")',
    'CREATE TABLE "mailing_list" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "address" VARCHAR(255) NOT NULL, "whole" INTEGER NOT NULL, "purpose" TEXT NOT NULL, "practice_of_id" INTEGER, "join_mode" VARCHAR(255) NOT NULL, "join_code" VARCHAR(255) NOT NULL, "signup_caps_off_until" INTEGER, "greeting" TEXT NOT NULL, "post_ask" INTEGER NOT NULL, "post_confirm" INTEGER NOT NULL, "answer_on_open" INTEGER NOT NULL, "monthly_test_day" INTEGER, "monthly_test_minute" INTEGER NOT NULL, "monthly_test_user_id" INTEGER, "last_test_month" VARCHAR(255) NOT NULL, "awaiting_roster_since" INTEGER, "requires_approval" INTEGER NOT NULL, "closed_at" INTEGER, "created_at" INTEGER NOT NULL, FOREIGN KEY ("practice_of_id") REFERENCES "user" ("id") ON DELETE CASCADE, FOREIGN KEY ("monthly_test_user_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE UNIQUE INDEX "mailing_list_address" ON "mailing_list" ("address")',
    'CREATE UNIQUE INDEX "mailing_list_practice_of_id" ON "mailing_list" ("practice_of_id")',
    'CREATE UNIQUE INDEX "mailing_list_join_code" ON "mailing_list" ("join_code")',
    'CREATE INDEX "mailing_list_monthly_test_user_id" ON "mailing_list" ("monthly_test_user_id")',
    'CREATE TABLE "allowed_sender" ("id" INTEGER NOT NULL PRIMARY KEY, "list_id" INTEGER NOT NULL, "address" VARCHAR(255) NOT NULL, "address_key" VARCHAR(255) NOT NULL, "name" VARCHAR(255) NOT NULL, "created_at" INTEGER NOT NULL, "last_post_at" INTEGER, "last_auth_method" VARCHAR(255) NOT NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "allowed_sender_list_id" ON "allowed_sender" ("list_id")',
    'CREATE UNIQUE INDEX "allowed_sender_list_id_address_key" ON "allowed_sender" ("list_id", "address_key")',
    'CREATE TABLE "notice" ("id" INTEGER NOT NULL PRIMARY KEY, "kind" VARCHAR(255) NOT NULL, "out_of_id" INTEGER, "state" VARCHAR(255) NOT NULL CONSTRAINT "notice_state" CHECK (state IN (\'draft\', \'asked\', \'held\', \'scheduled\', \'sending\', \'paused\', \'sent\', \'stopped\', \'withdrawn\', \'dropped\', \'standing\')), "by_id" INTEGER, "by_name" VARCHAR(255) NOT NULL, "sender_user_id" INTEGER, "sender_name" VARCHAR(255) NOT NULL, "from_class_teacher" INTEGER NOT NULL, "route" VARCHAR(255) NOT NULL, "form_key" VARCHAR(255), "wizard_step" INTEGER NOT NULL, "urgent" INTEGER NOT NULL, "read_confirmation" INTEGER NOT NULL, "footer" INTEGER NOT NULL, "reply_to_user_id" INTEGER, "skip_missing" INTEGER NOT NULL, "useful_s" INTEGER NOT NULL, "practice" INTEGER NOT NULL, "files_inside" INTEGER NOT NULL, "digest_settings" TEXT NOT NULL, "correction_of_id" INTEGER, "follow_up_to_id" INTEGER, "created_at" INTEGER NOT NULL, "updated_at" INTEGER NOT NULL, "confirmed_at" INTEGER, "fingerprint" VARCHAR(255) NOT NULL, "within" TEXT, "expected" TEXT NOT NULL, "send_at" INTEGER, "booked" INTEGER NOT NULL, "hold_reason" VARCHAR(255) NOT NULL, "started_at" INTEGER, "finished_at" INTEGER, "stopped_at" INTEGER, "withdrawn_at" INTEGER, "pause_reason" VARCHAR(255) NOT NULL, "paused_at" INTEGER, "rounds" INTEGER NOT NULL, "serial" INTEGER NOT NULL, "purged_at" INTEGER, "drip_step_id" INTEGER, FOREIGN KEY ("out_of_id") REFERENCES "mailing_list" ("id") ON DELETE SET NULL, FOREIGN KEY ("by_id") REFERENCES "user" ("id") ON DELETE SET NULL, FOREIGN KEY ("sender_user_id") REFERENCES "user" ("id") ON DELETE SET NULL, FOREIGN KEY ("reply_to_user_id") REFERENCES "user" ("id") ON DELETE SET NULL, FOREIGN KEY ("correction_of_id") REFERENCES "notice" ("id") ON DELETE SET NULL, FOREIGN KEY ("follow_up_to_id") REFERENCES "notice" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "notice_out_of_id" ON "notice" ("out_of_id")',
    'CREATE INDEX "notice_state" ON "notice" ("state")',
    'CREATE INDEX "notice_by_id" ON "notice" ("by_id")',
    'CREATE INDEX "notice_sender_user_id" ON "notice" ("sender_user_id")',
    'CREATE UNIQUE INDEX "notice_form_key" ON "notice" ("form_key")',
    'CREATE INDEX "notice_reply_to_user_id" ON "notice" ("reply_to_user_id")',
    'CREATE INDEX "notice_correction_of_id" ON "notice" ("correction_of_id")',
    'CREATE INDEX "notice_follow_up_to_id" ON "notice" ("follow_up_to_id")',
    'CREATE INDEX "notice_send_at" ON "notice" ("send_at")',
    'CREATE INDEX "notice_drip_step_id" ON "notice" ("drip_step_id")',
    'CREATE TABLE "question" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "place" INTEGER NOT NULL, "kind" VARCHAR(255) NOT NULL, "heading" VARCHAR(255) NOT NULL, "text" VARCHAR(255) NOT NULL, "unit" VARCHAR(255) NOT NULL CONSTRAINT "question_unit" CHECK (unit IN (\'child\', \'household\', \'person\')), "deadline" INTEGER, "comment" INTEGER NOT NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "question_notice_id" ON "question" ("notice_id")',
    'CREATE UNIQUE INDEX "question_notice_id_place" ON "question" ("notice_id", "place")',
    'CREATE TABLE "person" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "kana" VARCHAR(255) NOT NULL, "address" VARCHAR(255), "address_key" VARCHAR(255), "violates_rfc" INTEGER NOT NULL, "bare" INTEGER NOT NULL, "phone" VARCHAR(255) NOT NULL, "language" VARCHAR(255) NOT NULL, "household" VARCHAR(255) NOT NULL, "address_state" VARCHAR(255) NOT NULL CONSTRAINT "person_address_state" CHECK (address_state IN (\'fine\', \'refusing\', \'bounced\', \'complained\')), "address_reason" VARCHAR(255) NOT NULL, "address_state_at" INTEGER, "address_state_notice_id" INTEGER, "reported_address_state" VARCHAR(255) NOT NULL, "created_at" INTEGER NOT NULL)',
    'CREATE INDEX "person_kana" ON "person" ("kana")',
    'CREATE UNIQUE INDEX "person_address_key" ON "person" ("address_key")',
    'CREATE INDEX "person_household" ON "person" ("household")',
    'CREATE TABLE "child" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "kana" VARCHAR(255) NOT NULL, "grade" VARCHAR(255) NOT NULL, "class_name" VARCHAR(255) NOT NULL, "household" VARCHAR(255) NOT NULL, "attributes" TEXT NOT NULL, "join_code" VARCHAR(255) NOT NULL, "created_at" INTEGER NOT NULL)',
    'CREATE INDEX "child_household" ON "child" ("household")',
    'CREATE UNIQUE INDEX "child_join_code" ON "child" ("join_code")',
    'CREATE TABLE "delivery" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "person_id" INTEGER, "child_id" INTEGER, "child_name" VARCHAR(255) NOT NULL, "child_room" VARCHAR(255) NOT NULL, "siblings" INTEGER NOT NULL, "token" VARCHAR(255) NOT NULL, "reason" VARCHAR(255) NOT NULL, "list_id" INTEGER, "name" VARCHAR(255) NOT NULL, "kana" VARCHAR(255) NOT NULL, "language" VARCHAR(255) NOT NULL, "sender_name" VARCHAR(255) NOT NULL, "class_teacher_id" INTEGER, "values" TEXT NOT NULL, "read_at" INTEGER, "read_via" VARCHAR(255) NOT NULL, "phoned_at" INTEGER, "phoned_by_id" INTEGER, "replied_at" INTEGER, "misdirected_at" INTEGER, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE, FOREIGN KEY ("person_id") REFERENCES "person" ("id") ON DELETE SET NULL, FOREIGN KEY ("child_id") REFERENCES "child" ("id") ON DELETE SET NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE SET NULL, FOREIGN KEY ("class_teacher_id") REFERENCES "user" ("id") ON DELETE SET NULL, FOREIGN KEY ("phoned_by_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "delivery_notice_id" ON "delivery" ("notice_id")',
    'CREATE INDEX "delivery_person_id" ON "delivery" ("person_id")',
    'CREATE INDEX "delivery_child_id" ON "delivery" ("child_id")',
    'CREATE UNIQUE INDEX "delivery_token" ON "delivery" ("token")',
    'CREATE INDEX "delivery_list_id" ON "delivery" ("list_id")',
    'CREATE INDEX "delivery_class_teacher_id" ON "delivery" ("class_teacher_id")',
    'CREATE INDEX "delivery_phoned_by_id" ON "delivery" ("phoned_by_id")',
    'CREATE INDEX "delivery_notice_id_read_at" ON "delivery" ("notice_id", "read_at")',
    'CREATE UNIQUE INDEX "delivery_once" ON "delivery" ("notice_id", "person_id", COALESCE("child_id", 0))',
    'CREATE TABLE "choice" ("id" INTEGER NOT NULL PRIMARY KEY, "question_id" INTEGER NOT NULL, "number" INTEGER NOT NULL, "text" VARCHAR(255) NOT NULL, FOREIGN KEY ("question_id") REFERENCES "question" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "choice_question_id" ON "choice" ("question_id")',
    'CREATE UNIQUE INDEX "choice_question_id_number" ON "choice" ("question_id", "number")',
    'CREATE TABLE "answer" ("id" INTEGER NOT NULL PRIMARY KEY, "question_id" INTEGER NOT NULL, "unit" VARCHAR(255) NOT NULL, "delivery_id" INTEGER NOT NULL, "choice_id" INTEGER NOT NULL, "comment" TEXT NOT NULL, "at" INTEGER NOT NULL, "how" VARCHAR(255) NOT NULL, "by_id" INTEGER, "superseded_at" INTEGER, FOREIGN KEY ("question_id") REFERENCES "question" ("id") ON DELETE CASCADE, FOREIGN KEY ("delivery_id") REFERENCES "delivery" ("id") ON DELETE CASCADE, FOREIGN KEY ("choice_id") REFERENCES "choice" ("id") ON DELETE CASCADE, FOREIGN KEY ("by_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "answer_question_id" ON "answer" ("question_id")',
    'CREATE INDEX "answer_delivery_id" ON "answer" ("delivery_id")',
    'CREATE INDEX "answer_choice_id" ON "answer" ("choice_id")',
    'CREATE INDEX "answer_by_id" ON "answer" ("by_id")',
    'CREATE UNIQUE INDEX "answer_once" ON "answer" ("question_id", "unit") WHERE "superseded_at" IS NULL',
    'CREATE TABLE "attachment" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "name" VARCHAR(255) NOT NULL, "kind" VARCHAR(255) NOT NULL, "size" INTEGER NOT NULL, "digest" VARCHAR(255) NOT NULL, "file" VARCHAR(255) NOT NULL, "cleaned" INTEGER NOT NULL, "added_at" INTEGER NOT NULL, "added_by_id" INTEGER, "withdrawn_at" INTEGER, "file_deleted_at" INTEGER, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE, FOREIGN KEY ("added_by_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "attachment_notice_id" ON "attachment" ("notice_id")',
    'CREATE UNIQUE INDEX "attachment_file" ON "attachment" ("file")',
    'CREATE INDEX "attachment_added_by_id" ON "attachment" ("added_by_id")',
    'CREATE TABLE "attachment_view" ("id" INTEGER NOT NULL PRIMARY KEY, "attachment_id" INTEGER NOT NULL, "delivery_id" INTEGER, "user_id" INTEGER, "at" INTEGER NOT NULL, FOREIGN KEY ("attachment_id") REFERENCES "attachment" ("id") ON DELETE CASCADE, FOREIGN KEY ("delivery_id") REFERENCES "delivery" ("id") ON DELETE CASCADE, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "attachment_view_attachment_id" ON "attachment_view" ("attachment_id")',
    'CREATE INDEX "attachment_view_delivery_id" ON "attachment_view" ("delivery_id")',
    'CREATE INDEX "attachment_view_user_id" ON "attachment_view" ("user_id")',
    'CREATE UNIQUE INDEX "attachment_view_once" ON "attachment_view" ("attachment_id", COALESCE("delivery_id", 0), COALESCE("user_id", 0))',
    'CREATE TABLE "audit_log" ("id" INTEGER NOT NULL PRIMARY KEY, "at" INTEGER NOT NULL, "user_id" INTEGER, "action" VARCHAR(255) NOT NULL, "kind" VARCHAR(255) NOT NULL, "number" INTEGER, "detail" TEXT NOT NULL, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "audit_log_at" ON "audit_log" ("at")',
    'CREATE INDEX "audit_log_user_id" ON "audit_log" ("user_id")',
    'CREATE TABLE "letter" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER, "delivery_id" INTEGER, "round" INTEGER NOT NULL, "is_current" INTEGER NOT NULL, "kind" VARCHAR(255) NOT NULL, "person_id" INTEGER, "address" VARCHAR(255) NOT NULL, "domain" VARCHAR(255) NOT NULL, "urgent" INTEGER NOT NULL, "language" VARCHAR(255) NOT NULL, "payload" TEXT NOT NULL, "state" VARCHAR(255) NOT NULL CONSTRAINT "letter_state" CHECK (state IN (\'waiting\', \'sending\', \'accepted\', \'deferred\', \'refused\', \'bounced\', \'skipped\', \'unknown\', \'expired\', \'cancelled\')), "made_at" INTEGER NOT NULL, "next_attempt_at" INTEGER NOT NULL, "expires_at" INTEGER NOT NULL, "owner" VARCHAR(255) NOT NULL, "boot" VARCHAR(255) NOT NULL, "handed_over_at" INTEGER, "attempts" INTEGER NOT NULL, "done_at" INTEGER, "code" INTEGER, "enhanced" VARCHAR(255) NOT NULL, "text" VARCHAR(255) NOT NULL, "reason" VARCHAR(255) NOT NULL, "auto_resent" INTEGER NOT NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE, FOREIGN KEY ("delivery_id") REFERENCES "delivery" ("id") ON DELETE CASCADE, FOREIGN KEY ("person_id") REFERENCES "person" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "letter_notice_id" ON "letter" ("notice_id")',
    'CREATE INDEX "letter_delivery_id" ON "letter" ("delivery_id")',
    'CREATE INDEX "letter_person_id" ON "letter" ("person_id")',
    'CREATE INDEX "letter_notice_id_is_current_state" ON "letter" ("notice_id", "is_current", "state")',
    'CREATE UNIQUE INDEX "letter_delivery_id_round" ON "letter" ("delivery_id", "round")',
    'CREATE INDEX "letter_due" ON "letter" ("urgent" DESC, "next_attempt_at", "id") WHERE state IN (\'waiting\',\'deferred\')',
    'CREATE INDEX "letter_resent" ON "letter" ("notice_id") WHERE auto_resent',
    'CREATE INDEX "letter_owned" ON "letter" ("owner") WHERE state = \'sending\'',
    'CREATE INDEX "letter_gave_way" ON "letter" ("delivery_id") WHERE is_current AND round > 1 AND state IN (\'cancelled\',\'skipped\',\'expired\')',
    'CREATE TABLE "bounce" ("id" INTEGER NOT NULL PRIMARY KEY, "letter_id" INTEGER NOT NULL, "person_id" INTEGER, "at" INTEGER NOT NULL, "kind" VARCHAR(255) NOT NULL, "permanent" INTEGER NOT NULL, "status" VARCHAR(255) NOT NULL, "text" VARCHAR(255) NOT NULL, FOREIGN KEY ("letter_id") REFERENCES "letter" ("id") ON DELETE CASCADE, FOREIGN KEY ("person_id") REFERENCES "person" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "bounce_letter_id" ON "bounce" ("letter_id")',
    'CREATE INDEX "bounce_person_id" ON "bounce" ("person_id")',
    'CREATE TABLE "change_request" ("id" INTEGER NOT NULL PRIMARY KEY, "person_id" INTEGER NOT NULL, "child_id" INTEGER, "duplicate_id" INTEGER, "list_id" INTEGER NOT NULL, "by_id" INTEGER, "changes" TEXT NOT NULL, "at" INTEGER NOT NULL, "mailed_at" INTEGER, FOREIGN KEY ("person_id") REFERENCES "person" ("id") ON DELETE CASCADE, FOREIGN KEY ("child_id") REFERENCES "child" ("id") ON DELETE CASCADE, FOREIGN KEY ("duplicate_id") REFERENCES "person" ("id") ON DELETE CASCADE, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE, FOREIGN KEY ("by_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "change_request_person_id" ON "change_request" ("person_id")',
    'CREATE INDEX "change_request_child_id" ON "change_request" ("child_id")',
    'CREATE UNIQUE INDEX "change_request_duplicate_id" ON "change_request" ("duplicate_id")',
    'CREATE INDEX "change_request_list_id" ON "change_request" ("list_id")',
    'CREATE INDEX "change_request_by_id" ON "change_request" ("by_id")',
    'CREATE TABLE "child_code" ("id" INTEGER NOT NULL PRIMARY KEY, "list_id" INTEGER NOT NULL, "child_id" INTEGER NOT NULL, "code" VARCHAR(255) NOT NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE, FOREIGN KEY ("child_id") REFERENCES "child" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "child_code_list_id" ON "child_code" ("list_id")',
    'CREATE INDEX "child_code_child_id" ON "child_code" ("child_id")',
    'CREATE UNIQUE INDEX "child_code_list_id_child_id" ON "child_code" ("list_id", "child_id")',
    'CREATE TABLE "clock_state" ("id" INTEGER NOT NULL PRIMARY KEY, "boot" VARCHAR(255) NOT NULL, "offset_ms" INTEGER NOT NULL, "jump_ms" INTEGER NOT NULL, "jumped_at" INTEGER)',
    'CREATE TABLE "consent_text" ("id" INTEGER NOT NULL PRIMARY KEY, "list_id" INTEGER NOT NULL, "text" TEXT NOT NULL, "since" INTEGER NOT NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "consent_text_list_id" ON "consent_text" ("list_id")',
    'CREATE TABLE "membership" ("id" INTEGER NOT NULL PRIMARY KEY, "person_id" INTEGER NOT NULL, "list_id" INTEGER NOT NULL, "child_id" INTEGER, "relation" VARCHAR(255) NOT NULL, "attributes" TEXT NOT NULL, "state" VARCHAR(255) NOT NULL CONSTRAINT "membership_state" CHECK (state IN (\'unconfirmed\', \'pending\', \'active\', \'refused\', \'stopped\', \'left\')), "stopped_by" VARCHAR(255) NOT NULL, "class_teacher_id" INTEGER, "joined_at" INTEGER NOT NULL, "joined_via" VARCHAR(255) NOT NULL, "consent" TEXT NOT NULL, "stopped_at" INTEGER, "left_at" INTEGER, FOREIGN KEY ("person_id") REFERENCES "person" ("id") ON DELETE CASCADE, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE, FOREIGN KEY ("child_id") REFERENCES "child" ("id") ON DELETE CASCADE, FOREIGN KEY ("class_teacher_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "membership_person_id" ON "membership" ("person_id")',
    'CREATE INDEX "membership_list_id" ON "membership" ("list_id")',
    'CREATE INDEX "membership_child_id" ON "membership" ("child_id")',
    'CREATE INDEX "membership_class_teacher_id" ON "membership" ("class_teacher_id")',
    'CREATE INDEX "membership_list_id_state" ON "membership" ("list_id", "state")',
    'CREATE UNIQUE INDEX "membership_once" ON "membership" ("person_id", "list_id", COALESCE("child_id", 0))',
    'CREATE TABLE "delivery_membership" ("id" INTEGER NOT NULL PRIMARY KEY, "delivery_id" INTEGER NOT NULL, "membership_id" INTEGER, "list_id" INTEGER, "household" VARCHAR(255) NOT NULL, "child_name" VARCHAR(255) NOT NULL, "child_kana" VARCHAR(255) NOT NULL, "grade" VARCHAR(255) NOT NULL, "class_name" VARCHAR(255) NOT NULL, FOREIGN KEY ("delivery_id") REFERENCES "delivery" ("id") ON DELETE CASCADE, FOREIGN KEY ("membership_id") REFERENCES "membership" ("id") ON DELETE SET NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "delivery_membership_delivery_id" ON "delivery_membership" ("delivery_id")',
    'CREATE INDEX "delivery_membership_membership_id" ON "delivery_membership" ("membership_id")',
    'CREATE INDEX "delivery_membership_list_id" ON "delivery_membership" ("list_id")',
    'CREATE TABLE "device" ("id" INTEGER NOT NULL PRIMARY KEY, "user_id" INTEGER NOT NULL, "digest" VARCHAR(255) NOT NULL, "name" VARCHAR(255) NOT NULL, "agent" VARCHAR(255) NOT NULL, "created_at" INTEGER NOT NULL, "seen_at" INTEGER NOT NULL, "second_factor_at" INTEGER, "revoked_at" INTEGER, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "device_user_id" ON "device" ("user_id")',
    'CREATE UNIQUE INDEX "device_digest" ON "device" ("digest")',
    'CREATE TABLE "digest_subscription" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "user_id" INTEGER NOT NULL, "kind" VARCHAR(255) NOT NULL, "timing" VARCHAR(255) NOT NULL, "told_until" INTEGER NOT NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "digest_subscription_notice_id" ON "digest_subscription" ("notice_id")',
    'CREATE INDEX "digest_subscription_user_id" ON "digest_subscription" ("user_id")',
    'CREATE UNIQUE INDEX "digest_subscription_notice_id_user_id_kind" ON "digest_subscription" ("notice_id", "user_id", "kind")',
    'CREATE TABLE "drip_step" ("id" INTEGER NOT NULL PRIMARY KEY, "list_id" INTEGER NOT NULL, "days" INTEGER NOT NULL, "minute" INTEGER NOT NULL, "since" INTEGER NOT NULL, "paused_at" INTEGER, "pause_reason" VARCHAR(255) NOT NULL, "ended_at" INTEGER, "created_at" INTEGER NOT NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "drip_step_list_id" ON "drip_step" ("list_id")',
    'CREATE TABLE "expired_link" ("id" INTEGER NOT NULL PRIMARY KEY, "digest" BLOB NOT NULL, "membership_id" INTEGER NOT NULL, FOREIGN KEY ("membership_id") REFERENCES "membership" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "expired_link_membership_id" ON "expired_link" ("membership_id")',
    'CREATE UNIQUE INDEX "expired_link_digest_membership_id" ON "expired_link" ("digest", "membership_id")',
    'CREATE TABLE "member_group" ("id" INTEGER NOT NULL PRIMARY KEY, "list_id" INTEGER NOT NULL, "name" VARCHAR(255) NOT NULL, "condition" TEXT NOT NULL, "created_at" INTEGER NOT NULL, "closed_at" INTEGER, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "member_group_list_id" ON "member_group" ("list_id")',
    'CREATE TABLE "group_member" ("id" INTEGER NOT NULL PRIMARY KEY, "group_id" INTEGER NOT NULL, "membership_id" INTEGER NOT NULL, FOREIGN KEY ("group_id") REFERENCES "member_group" ("id") ON DELETE CASCADE, FOREIGN KEY ("membership_id") REFERENCES "membership" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "group_member_group_id" ON "group_member" ("group_id")',
    'CREATE INDEX "group_member_membership_id" ON "group_member" ("membership_id")',
    'CREATE UNIQUE INDEX "group_member_group_id_membership_id" ON "group_member" ("group_id", "membership_id")',
    'CREATE TABLE "imap_status" ("id" INTEGER NOT NULL PRIMARY KEY, "at" INTEGER, "last_success_at" INTEGER, "reason" VARCHAR(255) NOT NULL, "message" VARCHAR(255) NOT NULL, "detail" VARCHAR(255) NOT NULL, "taken" INTEGER NOT NULL, "others" INTEGER NOT NULL)',
    'CREATE TABLE "inbound_message" ("id" INTEGER NOT NULL PRIMARY KEY, "digest" VARCHAR(255) NOT NULL, "recipient" VARCHAR(255) NOT NULL, "at" INTEGER NOT NULL, "envelope_sender" VARCHAR(255) NOT NULL, "address" VARCHAR(255) NOT NULL, "kind" VARCHAR(255) NOT NULL, "outcome" VARCHAR(255) NOT NULL, "reason" VARCHAR(255) NOT NULL, "list_id" INTEGER, "person_id" INTEGER, "letter_id" INTEGER, "notice_id" INTEGER, "subject" VARCHAR(255) NOT NULL, "text" TEXT NOT NULL, "attempts" INTEGER NOT NULL, "file" VARCHAR(255) NOT NULL, "files" TEXT NOT NULL, "message_key" VARCHAR(255) NOT NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE SET NULL, FOREIGN KEY ("person_id") REFERENCES "person" ("id") ON DELETE SET NULL, FOREIGN KEY ("letter_id") REFERENCES "letter" ("id") ON DELETE SET NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "inbound_message_at" ON "inbound_message" ("at")',
    'CREATE INDEX "inbound_message_list_id" ON "inbound_message" ("list_id")',
    'CREATE INDEX "inbound_message_person_id" ON "inbound_message" ("person_id")',
    'CREATE INDEX "inbound_message_letter_id" ON "inbound_message" ("letter_id")',
    'CREATE INDEX "inbound_message_notice_id" ON "inbound_message" ("notice_id")',
    'CREATE INDEX "inbound_message_message_key" ON "inbound_message" ("message_key")',
    'CREATE UNIQUE INDEX "inbound_message_digest_recipient" ON "inbound_message" ("digest", "recipient")',
    'CREATE INDEX "inbound_message_kind_outcome" ON "inbound_message" ("kind", "outcome")',
    'CREATE TABLE "job" ("id" INTEGER NOT NULL PRIMARY KEY, "kind" VARCHAR(255) NOT NULL, "user_id" INTEGER, "list_id" INTEGER, "state" VARCHAR(255) NOT NULL CONSTRAINT "job_state" CHECK (state IN (\'ready\', \'asked\', \'working\', \'done\', \'undone\')), "made_at" INTEGER NOT NULL, "done" INTEGER NOT NULL, "total" INTEGER NOT NULL, "detail" TEXT NOT NULL, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE SET NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "job_user_id" ON "job" ("user_id")',
    'CREATE INDEX "job_list_id" ON "job" ("list_id")',
    'CREATE TABLE "kept_form" ("id" INTEGER NOT NULL PRIMARY KEY, "user_id" INTEGER NOT NULL, "page" VARCHAR(255) NOT NULL, "action" VARCHAR(255) NOT NULL, "fields" TEXT NOT NULL, "has_files" INTEGER NOT NULL, "shown" INTEGER NOT NULL, "at" INTEGER NOT NULL, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "kept_form_user_id" ON "kept_form" ("user_id")',
    'CREATE TABLE "link_request" ("id" INTEGER NOT NULL PRIMARY KEY, "purpose" VARCHAR(255) NOT NULL CONSTRAINT "link_request_purpose" CHECK (purpose IN (\'login\', \'password\', \'page\', \'signup\')), "typed" VARCHAR(255) NOT NULL, "details" TEXT NOT NULL, "at" INTEGER NOT NULL)',
    'CREATE TABLE "notice_review" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "requested_from_id" INTEGER, "requested_at" INTEGER, "fingerprint" VARCHAR(255) NOT NULL, "reviewed_by_id" INTEGER, "note" TEXT NOT NULL, "note_by" VARCHAR(255) NOT NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE, FOREIGN KEY ("requested_from_id") REFERENCES "user" ("id") ON DELETE SET NULL, FOREIGN KEY ("reviewed_by_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE UNIQUE INDEX "notice_review_notice_id" ON "notice_review" ("notice_id")',
    'CREATE INDEX "notice_review_requested_from_id" ON "notice_review" ("requested_from_id")',
    'CREATE INDEX "notice_review_reviewed_by_id" ON "notice_review" ("reviewed_by_id")',
    'CREATE TABLE "notice_stats" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "at" INTEGER NOT NULL, "fixed" INTEGER NOT NULL, "sent" INTEGER NOT NULL, "failed" INTEGER NOT NULL, "asked" INTEGER NOT NULL, "read" INTEGER NOT NULL, "told" INTEGER NOT NULL, "read_1h" INTEGER NOT NULL, "half_s" INTEGER, "could_answer" INTEGER NOT NULL, "answered" INTEGER NOT NULL, "hours" TEXT NOT NULL, "opens_of" INTEGER NOT NULL, "opened" INTEGER NOT NULL, "proxied" INTEGER NOT NULL, "clicks_of" INTEGER NOT NULL, "clicked" INTEGER NOT NULL, "open_hours" TEXT NOT NULL, "click_hours" TEXT NOT NULL, "kept" TEXT, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE)',
    'CREATE UNIQUE INDEX "notice_stats_notice_id" ON "notice_stats" ("notice_id")',
    'CREATE TABLE "notice_template" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "subject" VARCHAR(255) NOT NULL, "text" TEXT NOT NULL, "html" TEXT NOT NULL, "decorated" INTEGER NOT NULL, "kind" VARCHAR(255) NOT NULL, "urgent" INTEGER NOT NULL, "read_confirmation" INTEGER NOT NULL, "questions" TEXT NOT NULL, "list_id" INTEGER, "key" VARCHAR(255), "hidden" INTEGER NOT NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "notice_template_list_id" ON "notice_template" ("list_id")',
    'CREATE UNIQUE INDEX "notice_template_once" ON "notice_template" ("key", COALESCE("list_id", 0)) WHERE key IS NOT NULL',
    'CREATE TABLE "notice_tracking" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "opens" INTEGER NOT NULL, "clicks" INTEGER NOT NULL, "totals" TEXT, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE)',
    'CREATE UNIQUE INDEX "notice_tracking_notice_id" ON "notice_tracking" ("notice_id")',
    'CREATE TABLE "organization" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "postal" VARCHAR(255) NOT NULL, "contact" VARCHAR(255) NOT NULL, "language" VARCHAR(255) NOT NULL, "mail_domain" VARCHAR(255) NOT NULL, "base_url" VARCHAR(255) NOT NULL, "smtp" VARCHAR(255) NOT NULL, "mail_mode" VARCHAR(255) NOT NULL, "imap" VARCHAR(255) NOT NULL, "mailbox" VARCHAR(255) NOT NULL, "plus" INTEGER NOT NULL, "recipient_header" VARCHAR(255) NOT NULL, "hour_rate" INTEGER NOT NULL, "rate" INTEGER NOT NULL, "domain_rate" INTEGER NOT NULL, "hold_s" INTEGER NOT NULL, "hold_urgent_s" INTEGER NOT NULL, "requires_approval" INTEGER NOT NULL, "carriers" TEXT NOT NULL, "public_urgent" INTEGER NOT NULL, "late_s" INTEGER NOT NULL, "set_up_at" INTEGER, "domain_until" DATE, "server_until" DATE, "renewal_reminders_sent" VARCHAR(255) NOT NULL, "handover" TEXT NOT NULL, "last_health_email" VARCHAR(255) NOT NULL, "tags_have_purpose_since" INTEGER, "live_since" INTEGER, "purge_before_year" INTEGER NOT NULL, "purge_starts_at" INTEGER)',
    'CREATE TABLE "page_view" ("id" INTEGER NOT NULL PRIMARY KEY, "delivery_id" INTEGER NOT NULL, "at" INTEGER NOT NULL, "page" VARCHAR(255) NOT NULL, "inside" INTEGER NOT NULL, "agent" VARCHAR(255) NOT NULL, "automatic" INTEGER NOT NULL, FOREIGN KEY ("delivery_id") REFERENCES "delivery" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "page_view_delivery_id" ON "page_view" ("delivery_id")',
    'CREATE TABLE "passkey" ("id" INTEGER NOT NULL PRIMARY KEY, "user_id" INTEGER NOT NULL, "credential_id" VARCHAR(255) NOT NULL, "public_key" BLOB NOT NULL, "sign_count" INTEGER NOT NULL, "transports" TEXT NOT NULL, "rp_id" VARCHAR(255) NOT NULL, "name" VARCHAR(255) NOT NULL, "created_at" INTEGER NOT NULL, "used_at" INTEGER, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "passkey_user_id" ON "passkey" ("user_id")',
    'CREATE UNIQUE INDEX "passkey_credential_id" ON "passkey" ("credential_id")',
    'CREATE TABLE "queued_signup" ("id" INTEGER NOT NULL PRIMARY KEY, "list_id" INTEGER NOT NULL, "child_id" INTEGER, "address" VARCHAR(255) NOT NULL, "address_key" VARCHAR(255) NOT NULL, "address_proven" INTEGER NOT NULL, "route" VARCHAR(255) NOT NULL, "consent" TEXT NOT NULL, "at" INTEGER NOT NULL, FOREIGN KEY ("list_id") REFERENCES "mailing_list" ("id") ON DELETE CASCADE, FOREIGN KEY ("child_id") REFERENCES "child" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "queued_signup_list_id" ON "queued_signup" ("list_id")',
    'CREATE INDEX "queued_signup_child_id" ON "queued_signup" ("child_id")',
    'CREATE UNIQUE INDEX "queued_signup_once" ON "queued_signup" ("list_id", "address_key", COALESCE("child_id", 0))',
    'CREATE TABLE "recovery_code" ("id" INTEGER NOT NULL PRIMARY KEY, "user_id" INTEGER NOT NULL, "digest" VARCHAR(255) NOT NULL, "created_at" INTEGER NOT NULL, "used_at" INTEGER, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "recovery_code_user_id" ON "recovery_code" ("user_id")',
    'CREATE UNIQUE INDEX "recovery_code_digest" ON "recovery_code" ("digest")',
    'CREATE TABLE "reminder" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "kind" VARCHAR(255) NOT NULL CONSTRAINT "reminder_kind" CHECK (kind IN (\'asked\', \'timed\', \'deadline\')), "wants" VARCHAR(255) NOT NULL, "state" VARCHAR(255) NOT NULL CONSTRAINT "reminder_state" CHECK (state IN (\'waiting\', \'begun\', \'nobody\', \'called_off\', \'missed\')), "place" INTEGER NOT NULL, "until" INTEGER, "by_id" INTEGER, "made_at" INTEGER NOT NULL, "send_at" INTEGER NOT NULL, "done_at" INTEGER, "round" INTEGER NOT NULL, "letters" INTEGER NOT NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE, FOREIGN KEY ("by_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "reminder_notice_id" ON "reminder" ("notice_id")',
    'CREATE INDEX "reminder_by_id" ON "reminder" ("by_id")',
    'CREATE INDEX "reminder_notice_id_round" ON "reminder" ("notice_id", "round")',
    'CREATE UNIQUE INDEX "reminder_once" ON "reminder" ("notice_id", "kind") WHERE state = \'waiting\'',
    'CREATE INDEX "reminder_due" ON "reminder" ("send_at") WHERE state = \'waiting\'',
    'CREATE TABLE "reminder_rule" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "every_s" INTEGER NOT NULL, "times" INTEGER NOT NULL, "before_deadline" INTEGER NOT NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE)',
    'CREATE UNIQUE INDEX "reminder_rule_notice_id" ON "reminder_rule" ("notice_id")',
    'CREATE TABLE "role" ("id" INTEGER NOT NULL PRIMARY KEY, "user_id" INTEGER NOT NULL, "list_id" INTEGER NOT NULL, "kind" VARCHAR(255) NOT NULL CONSTRAINT "role_kind" CHECK (kind IN (\'admin\', \'manager\', \'sender\', \'viewer\')), "until" DATE, "told_until" DATE, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "role_user_id" ON "role" ("user_id")',
    'CREATE UNIQUE INDEX "role_user_id_list_id" ON "role" ("user_id", "list_id")',
    'CREATE TABLE "rollover" ("id" INTEGER NOT NULL PRIMARY KEY, "by_id" INTEGER, "state" VARCHAR(255) NOT NULL CONSTRAINT "rollover_state" CHECK (state IN (\'planned\', \'ended\', \'done\', \'undone\')), "made_at" INTEGER NOT NULL, "ended_at" INTEGER, "done_at" INTEGER, "plan" TEXT NOT NULL, "roster" TEXT NOT NULL, "undo" TEXT NOT NULL, FOREIGN KEY ("by_id") REFERENCES "user" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "rollover_by_id" ON "rollover" ("by_id")',
    'CREATE TABLE "session" ("id" INTEGER NOT NULL PRIMARY KEY, "user_id" INTEGER NOT NULL, "digest" VARCHAR(255) NOT NULL, "created_at" INTEGER NOT NULL, "seen_at" INTEGER NOT NULL, "expires_at" INTEGER NOT NULL, "revoked_at" INTEGER, "remembered" INTEGER NOT NULL, "agent" VARCHAR(255) NOT NULL, "device_id" INTEGER, "awaits_second_factor" INTEGER NOT NULL, "confirmed_at" INTEGER, "challenge" VARCHAR(255) NOT NULL, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE CASCADE, FOREIGN KEY ("device_id") REFERENCES "device" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "session_user_id" ON "session" ("user_id")',
    'CREATE UNIQUE INDEX "session_digest" ON "session" ("digest")',
    'CREATE INDEX "session_device_id" ON "session" ("device_id")',
    'CREATE TABLE "step_sent" ("id" INTEGER NOT NULL PRIMARY KEY, "step_id" INTEGER NOT NULL, "person_id" INTEGER, "sent" INTEGER NOT NULL, "read" INTEGER NOT NULL, FOREIGN KEY ("step_id") REFERENCES "drip_step" ("id") ON DELETE CASCADE, FOREIGN KEY ("person_id") REFERENCES "person" ("id") ON DELETE SET NULL)',
    'CREATE INDEX "step_sent_step_id" ON "step_sent" ("step_id")',
    'CREATE INDEX "step_sent_person_id" ON "step_sent" ("person_id")',
    'CREATE TABLE "target" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "include" INTEGER NOT NULL, "kind" VARCHAR(255) NOT NULL CONSTRAINT "target_kind" CHECK (kind IN (\'list\', \'group\', \'person\')), "number" INTEGER NOT NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "target_notice_id" ON "target" ("notice_id")',
    'CREATE UNIQUE INDEX "target_notice_id_kind_number" ON "target" ("notice_id", "kind", "number")',
    'CREATE TABLE "throttle_bucket" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, "tokens" INTEGER NOT NULL, "at" INTEGER NOT NULL, "paused_until" INTEGER, "why" VARCHAR(255) NOT NULL, "said" VARCHAR(255) NOT NULL)',
    'CREATE UNIQUE INDEX "throttle_bucket_name" ON "throttle_bucket" ("name")',
    'CREATE TABLE "totp_key" ("id" INTEGER NOT NULL PRIMARY KEY, "user_id" INTEGER NOT NULL, "secret" VARCHAR(255) NOT NULL, "last_step" INTEGER NOT NULL, "created_at" INTEGER NOT NULL, "confirmed_at" INTEGER, FOREIGN KEY ("user_id") REFERENCES "user" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "totp_key_user_id" ON "totp_key" ("user_id")',
    'CREATE TABLE "tracked_link" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "number" INTEGER NOT NULL, "url" TEXT NOT NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "tracked_link_notice_id" ON "tracked_link" ("notice_id")',
    'CREATE UNIQUE INDEX "tracked_link_notice_id_number" ON "tracked_link" ("notice_id", "number")',
    'CREATE TABLE "wording" ("id" INTEGER NOT NULL PRIMARY KEY, "notice_id" INTEGER NOT NULL, "language" VARCHAR(255) NOT NULL, "subject" VARCHAR(255) NOT NULL, "text" TEXT NOT NULL, "html" TEXT NOT NULL, "decorated" INTEGER NOT NULL, FOREIGN KEY ("notice_id") REFERENCES "notice" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "wording_notice_id" ON "wording" ("notice_id")',
    'CREATE UNIQUE INDEX "wording_notice_id_language" ON "wording" ("notice_id", "language")',
)

SOURCES = {
    "session": Source(
        "session",
        {
            "agent": "device",
            "device_id": "NULL",
            "awaits_second_factor": "0",
            "confirmed_at": "NULL",
            "challenge": "''",
        },
    ),
    "organization": Source(
        "organization",
        {
            "mail_mode": "road",
            "requires_approval": "second_person",
            "set_up_at": "ready_at",
            "renewal_reminders_sent": "renewal_told",
            "last_health_email": "well_told",
            "purge_before_year": "forget_year",
            "tags_have_purpose_since": "NULL",
            "live_since": "NULL",
            "purge_starts_at": "forget_from",
        },
    ),
    "user": Source("user", {"pending_email": "email_wanted"}),
    "audit_log": Source("log"),
    "mailing_list": Source(
        "mailing_list",
        {
            "signup_caps_off_until": "join_day_until",
            "monthly_test_day": "test_day",
            "monthly_test_minute": "test_minute",
            "monthly_test_user_id": "test_by_id",
            "last_test_month": "test_booked",
            "awaiting_roster_since": "waits_since",
            "requires_approval": "second_person",
        },
    ),
    "person": Source("person", {"address_state_notice_id": "address_state_by", "reported_address_state": "told_state"}),
    "membership": Source("membership", {"joined_via": "joined_route", "class_teacher_id": "in_charge_id"}),
    "consent_text": Source("terms"),
    "queued_signup": Source("applicant", {"address_proven": "sure"}),
    "allowed_sender": Source("sender", {"last_post_at": "tried_at", "last_auth_method": "tried_how"}),
    "notice": Source(
        "notice",
        {
            "wizard_step": "step",
            "from_class_teacher": "in_charge",
            "drip_step_id": "of_step_id",
            "sender_user_id": "sends_as_id",
            "reply_to_user_id": "replies_to_id",
            "digest_settings": "tells",
            "correction_of_id": "corrects_id",
            "follow_up_to_id": "follows_id",
            "send_at": "begin_at",
            "hold_reason": "held_why",
            "pause_reason": "paused_why",
            "purged_at": "forgotten_at",
        },
        gone=(  # now in the three tables below
            *("asked_id", "asked_at", "asked_mark", "approved_by_id", "word", "word_by"),
            *("remind_every_s", "remind_times", "remind_before"),
            *("track_opens", "track_clicks", "tracked"),
        ),
    ),
    "notice_review": Source(
        "notice",
        {
            "notice_id": "id",
            "requested_from_id": "asked_id",
            "requested_at": "asked_at",
            "fingerprint": "asked_mark",
            "reviewed_by_id": "approved_by_id",
            "note": "word",
            "note_by": "word_by",
        },
        where="asked_id IS NOT NULL OR asked_at IS NOT NULL OR asked_mark <> '' OR approved_by_id IS NOT NULL OR word <> ''",
        part=True,
    ),
    "reminder_rule": Source(
        "notice",
        {"notice_id": "id", "every_s": "remind_every_s", "times": "remind_times", "before_deadline": "remind_before"},
        where="remind_every_s <> 0 OR remind_times <> 1 OR remind_before",
        part=True,
    ),
    "notice_tracking": Source(
        "notice",
        {"notice_id": "id", "opens": "track_opens", "clicks": "track_clicks", "totals": "tracked"},
        where="track_opens OR track_clicks OR tracked IS NOT NULL",
        part=True,
    ),
    "attachment": Source("attachment", {"file_deleted_at": "gone_at"}),
    "reminder": Source("reminder", {"send_at": "begin_at"}),
    "delivery": Source(
        "delivery",
        {
            "class_teacher_id": "in_charge_id",
            "read_via": "read_how",
            "phoned_at": "told_at",
            "phoned_by_id": "told_by_id",
            "misdirected_at": "strange_at",
        },
    ),
    "delivery_membership": Source("cover"),
    "letter": Source(
        "letter",
        {
            "is_current": "newest",
            "next_attempt_at": "next_at",
            "expires_at": "useful_until",
            "handed_over_at": "handed_at",
            "auto_resent": "again",
        },
    ),
    "notice_stats": Source("sums"),
    "expired_link": Source("old_link"),
    "page_view": Source("visit"),
    "tracked_link": Source("link"),
    "attachment_view": Source("opened"),
    "drip_step": Source("step", {"pause_reason": "paused_why"}),
    "step_sent": Source("had"),
    "notice_template": Source("sample"),
    "digest_subscription": Source("digest"),
    "inbound_message": Source("incoming", {"message_key": "''"}),
    "imap_status": Source("collection", {"last_success_at": "well_at"}),
    "throttle_bucket": Source("bucket", {"said": "''"}),
}

UNDO_COLUMNS = {
    "person": {"address_state_by": "address_state_notice_id", "told_state": "reported_address_state"},
    "membership": {"joined_route": "joined_via", "in_charge": "class_teacher"},
}
"""Columns of which imports and rollovers keep the old value, for undo."""
IMPORT_FIELDS = {"in_charge": "class_teacher"}


def up(migrator, db):
    rewrite(db, STATEMENTS, SOURCES)
    change_json(db, "job", "detail", rename_in_import)
    change_json(db, "rollover", "roster", rename_in_roster)
    convert_rollovers(db)
    db.execute_sql("UPDATE audit_log SET action = 'list.class_teacher_set' WHERE action = 'list.in_charge_set'")
    now = time.time_ns() // 1_000_000
    db.execute_sql("UPDATE organization SET tags_have_purpose_since = ?", (now,))
    sent = "EXISTS (SELECT 1 FROM notice WHERE started_at IS NOT NULL AND practice = 0)"
    db.execute_sql(f"UPDATE organization SET live_since = ? WHERE smtp <> '' OR {sent}", (now,))


def rename_in_import(detail):
    if "mapping" in detail:
        detail = {**detail, "mapping": [IMPORT_FIELDS.get(field, field) for field in detail["mapping"]]}
    return {**detail, "written": rename_columns(detail["written"])} if "written" in detail else detail


def rename_in_roster(roster):
    rows = [{IMPORT_FIELDS.get(field, field): value for field, value in row.items()} for row in roster.get("rows", ())]
    return {**roster, "rows": rows} if rows else roster


def convert_rollovers(db):
    """Turn what the steps of a rollover wrote into undo logs, as imports keep them: {"end": [log], "roster": [log]}."""
    for number, ended_at, text in db.execute_sql("SELECT id, ended_at, undo FROM rollover").fetchall():
        undo = json.loads(text)
        new = {}
        if "end" in undo:
            new["end"] = [year_end_log(db, undo["end"], undo.get("roster"), ended_at)]
        if "roster" in undo:
            new["roster"] = roster_logs(undo["roster"], ended_at)
        if new:
            db.execute_sql("UPDATE rollover SET undo = ? WHERE id = ?", (json.dumps(new, ensure_ascii=False), number))


def year_end_log(db, end, roster, ended_at):
    """Return the undo log of a year's end, without memberships that were changed since."""
    opened = roster["opened"] if roster else {}
    memberships = {}
    for row, (state, user) in end["places"].items():
        found = db.execute_sql(
            "SELECT child_id, relation, attributes, state, stopped_by, left_at FROM membership WHERE id = ?", (row,)
        ).fetchone()
        if not found:
            continue
        child, relation, attributes, *last = found
        last = opened.get(row, last)  # undo of the roster comes first
        if (last[0], last[2]) == ("left", ended_at):
            digest = membership_digest([child, relation, json.loads(attributes), *last])
            memberships[row] = [{"state": state, "left_at": None, "class_teacher": user}, digest]
    lists = {row: {"awaiting_roster_since": None, "join_code": code} for row, code in end["lists"].items()}
    return undo_log(list=lists, membership=memberships)


def undo_log(made=(), **changed):
    """Return an undo log; an entry that is no list has a digest that matches every row."""
    changed = {
        table: {row: entry if isinstance(entry, list) else [entry, ""] for row, entry in rows.items()}
        for table, rows in changed.items()
    }
    return {"made": {"membership": dict.fromkeys(map(str, made), "")}, "changed": changed}


def membership_digest(values):
    return hashlib.sha256(json.dumps(values, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:12]


def roster_logs(roster, ended_at):
    children = {
        row: dict(zip(("name", "kana", "grade", "class_name"), old, strict=True))
        for row, old in roster["children"].items()
    }
    opened = {
        row: {"state": state, "stopped_by": by, "left_at": as_moment(left_at), "class_teacher": None}
        for row, (state, by, left_at) in roster["opened"].items()
    }
    gone = {row: {"state": state, "left_at": None} for row, state in roster["gone"].items()}
    lists = {str(row): {"awaiting_roster_since": as_moment(ended_at)} for row in roster["lists"]}
    log = undo_log(roster["made"], list=lists, child=children, membership={**opened, **gone})
    return [log, *(rename_columns(one) for one in roster["written"])]


def as_moment(ms):
    return ms and (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()


def rename_columns(written):
    """Rename in {"changed": {table: {row: [old values by column, digest]}}}."""
    changed = {
        table: {
            row: [{UNDO_COLUMNS.get(table, {}).get(name, name): value for name, value in old.items()}, digest]
            for row, (old, digest) in rows.items()
        }
        for table, rows in written["changed"].items()
    }
    return {**written, "changed": changed}
