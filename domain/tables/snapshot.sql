-- The tables as all migrations leave them, for an empty database (domain/migrating.py).
-- Made by `relance schema tables`; `make check` says when it is out of date.

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$;

CREATE FUNCTION public.tell_reading_of_mailbox() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    BEGIN
        INSERT INTO workspace_events (workspace_id, type, subject_id)
        VALUES (NEW.workspace_id, 'mailbox.changed', NEW.mailbox_id);
        RETURN NULL;
    END $$;

CREATE FUNCTION public.tell_workspace() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    DECLARE told record;
    BEGIN
        told := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
        INSERT INTO workspace_events (workspace_id, type, subject_id) VALUES (told.workspace_id, TG_ARGV[0], told.id);
        RETURN NULL;
    END $$;

CREATE TABLE public.api_keys (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    name character varying(200) NOT NULL,
    public_id character varying(16) NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    replaces_id uuid,
    scopes character varying(400) NOT NULL,
    CONSTRAINT api_keys_scopes_known CHECK (((scopes)::text ~ '^(read|recipients:write|contacts:write|sequences:write|mailboxes:write|signals:write|suppressions:write|webhooks:write|admin)( (read|recipients:write|contacts:write|sequences:write|mailboxes:write|signals:write|suppressions:write|webhooks:write|admin))*$'::text))
);

COMMENT ON TABLE public.api_keys IS 'An API key. The secret itself is never stored: only its SHA-256 (it has 190 random bits).';

CREATE TABLE public.audit_entries (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    actor_kind character varying(10) NOT NULL,
    actor_id uuid,
    action character varying(100) NOT NULL,
    object_ids jsonb NOT NULL,
    request_id character varying(40) NOT NULL
);

CREATE TABLE public.bulk_batches (
    workspace_id uuid NOT NULL,
    operation_id uuid NOT NULL,
    "position" integer NOT NULL,
    recipient_ids uuid[],
    contact_ids uuid[],
    file_rows bytea
);

CREATE TABLE public.bulk_operations (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    action character varying(20) NOT NULL,
    step_id uuid,
    dry_run boolean NOT NULL,
    status character varying(12) NOT NULL,
    matched integer NOT NULL,
    done integer NOT NULL,
    changed integer NOT NULL,
    refused integer NOT NULL,
    in_flight integer NOT NULL,
    batches_done integer NOT NULL,
    actor_kind character varying(10) NOT NULL,
    actor_id uuid,
    created_at timestamp with time zone NOT NULL,
    turned_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    unchanged integer DEFAULT 0 NOT NULL,
    sequence_id uuid,
    mailbox_id uuid,
    start_at timestamp with time zone,
    note text,
    file_id uuid,
    columns jsonb,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT bulk_operations_action_known CHECK ((action IN ('PAUSE', 'RESUME', 'SKIP_STEP', 'STOP', 'DELETE', 'RETRY', 'ENROLL', 'SUPPRESS', 'IMPORT'))),
    CONSTRAINT bulk_operations_counts_add_up CHECK (((done = ((changed + unchanged) + refused)) AND (done <= matched))),
    CONSTRAINT bulk_operations_ended_with_status CHECK (((ended_at IS NOT NULL) = (status IN ('COMPLETED', 'CANCELLED')))),
    CONSTRAINT bulk_operations_status_known CHECK ((status IN ('PENDING', 'RUNNING', 'COMPLETED', 'CANCELLED')))
);

CREATE TABLE public.bulk_refusals (
    workspace_id uuid NOT NULL,
    operation_id uuid NOT NULL,
    recipient_id uuid,
    code character varying(40) NOT NULL,
    message text NOT NULL,
    status character varying(15),
    refused_at timestamp with time zone NOT NULL,
    id uuid NOT NULL,
    contact_id uuid,
    line integer,
    cells jsonb,
    email_hash character varying(64)
);

CREATE TABLE public.contacts (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    external_id character varying(200),
    email character varying(320),
    email_key character varying(320),
    phone character varying(40),
    first_name character varying(200),
    last_name character varying(200),
    company character varying(200),
    time_zone character varying(64),
    custom_fields jsonb NOT NULL,
    sort_name character varying(420) NOT NULL,
    email_bounced_at timestamp with time zone,
    out_of_office_until timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    email_changed_at timestamp with time zone,
    email_hash character varying(32),
    phone_hash character varying(32),
    phone_key character varying(15),
    erased_at timestamp with time zone,
    phone_changed_at timestamp with time zone,
    phone_invalid_at timestamp with time zone
);

COMMENT ON TABLE public.contacts IS 'A person of the workspace.';

CREATE TABLE public.domain_turns (
    workspace_id uuid NOT NULL,
    mailbox_id uuid NOT NULL,
    domain text NOT NULL,
    next_at timestamp with time zone NOT NULL
);

CREATE TABLE public.error_group_retries (
    workspace_id uuid NOT NULL,
    cause_key uuid NOT NULL,
    actor_kind character varying(10) NOT NULL,
    actor_id uuid,
    asked_at timestamp with time zone NOT NULL,
    reached uuid,
    matched integer NOT NULL,
    retried integer NOT NULL,
    refused integer NOT NULL,
    ended_at timestamp with time zone
);

CREATE TABLE public.events (
    recipient_id uuid NOT NULL,
    version integer NOT NULL,
    workspace_id uuid NOT NULL,
    sequence_id uuid NOT NULL,
    seq bigint,
    type character varying(40) NOT NULL,
    previous_status character varying(15),
    status character varying(15),
    previous_stage character varying(15),
    stage character varying(15),
    end_reason character varying(20),
    actor_kind character varying(10) NOT NULL,
    actor_id uuid,
    step_id uuid,
    message_id uuid,
    step_error_id uuid,
    mailbox_id uuid,
    occurred_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    previous_mailbox_id uuid,
    counted jsonb,
    CONSTRAINT events_stage_known CHECK (((stage IN ('SCHEDULED', 'IN_PROGRESS', 'FINISHED', 'ERROR')) AND (previous_stage IN ('SCHEDULED', 'IN_PROGRESS', 'FINISHED', 'ERROR')))),
    CONSTRAINT events_status_known CHECK (((status IN ('SCHEDULED', 'IN_PROGRESS', 'PENDING_ACTION', 'PAUSED', 'ERROR', 'BOUNCED', 'COMPLETED', 'REPLIED', 'STOPPED', 'UNSUBSCRIBED')) AND (previous_status IN ('SCHEDULED', 'IN_PROGRESS', 'PENDING_ACTION', 'PAUSED', 'ERROR', 'BOUNCED', 'COMPLETED', 'REPLIED', 'STOPPED', 'UNSUBSCRIBED'))))
);

CREATE TABLE public.feeds (
    workspace_id uuid NOT NULL,
    epoch character varying(16) NOT NULL,
    last_seq bigint NOT NULL,
    first_seq bigint NOT NULL,
    pruned_xid bigint DEFAULT 0 NOT NULL,
    pruned_id bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.feeds IS 'The numbered feed of a workspace: which restore of it this is, and the last number given.';

CREATE TABLE public.idempotency_keys (
    workspace_id uuid NOT NULL,
    key character varying(200) NOT NULL,
    mutation character varying(100) NOT NULL,
    input_digest bytea NOT NULL,
    answer bytea NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE public.import_chunks (
    workspace_id uuid NOT NULL,
    file_id uuid NOT NULL,
    "position" integer NOT NULL,
    content bytea NOT NULL
);

CREATE TABLE public.import_files (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    name character varying(200) NOT NULL,
    size_bytes integer NOT NULL,
    headings jsonb NOT NULL,
    actor_kind character varying(10) NOT NULL,
    actor_id uuid,
    uploaded_at timestamp with time zone NOT NULL,
    emptied_at timestamp with time zone
);

CREATE TABLE public.inbound_mails (
    workspace_id uuid NOT NULL,
    fingerprint character varying(64) NOT NULL,
    mailbox_id uuid,
    source character varying(10) NOT NULL,
    outcome character varying(12) NOT NULL,
    reason text,
    message_id uuid,
    raw bytea,
    received_at timestamp with time zone NOT NULL,
    CONSTRAINT inbound_mails_kept_with_message CHECK (((message_id IS NOT NULL) OR (raw IS NULL))),
    CONSTRAINT inbound_mails_outcome_known CHECK ((outcome IN ('RECORDED', 'NOT_OURS', 'OWN', 'UNREADABLE'))),
    CONSTRAINT inbound_mails_source_known CHECK ((source IN ('MAILBOX', 'API', 'PROVIDER')))
);

CREATE TABLE public.mailbox_watches (
    workspace_id uuid NOT NULL,
    mailbox_id uuid NOT NULL,
    token integer NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    next_at timestamp with time zone NOT NULL,
    read_at timestamp with time zone,
    problem_code character varying(40),
    problem_words text,
    problem_since timestamp with time zone
);

CREATE TABLE public.mailboxes (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    address character varying(320) NOT NULL,
    address_key character varying(320) NOT NULL,
    display_name character varying(200),
    state character varying(20) NOT NULL,
    state_code character varying(40),
    state_message text,
    smtp_host character varying(253),
    smtp_port integer,
    smtp_security character varying(10),
    smtp_username character varying(320),
    smtp_password bytea,
    imap_host character varying(253),
    imap_port integer,
    imap_security character varying(10),
    imap_username character varying(320),
    imap_password bytea,
    daily_limit integer NOT NULL,
    minimum_gap_seconds integer NOT NULL,
    next_send_at timestamp with time zone NOT NULL,
    held_back_by character varying(20),
    failures_in_a_row integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    connected_at timestamp with time zone,
    guardrail_released_at timestamp with time zone,
    domain_gap_seconds integer NOT NULL,
    last_sequence_id uuid,
    ramp_up_start integer,
    ramp_up_started_at timestamp with time zone,
    ramp_up_step integer,
    dkim_domain character varying(253),
    dkim_key bytea,
    dkim_public_key character varying(1000),
    dkim_selector character varying(63),
    guardrail_hold jsonb,
    guardrail_limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    channel character varying(10) DEFAULT 'EMAIL'::character varying NOT NULL,
    sms_account character varying(100),
    sms_api_url character varying(500),
    sms_token bytea,
    throttled_since timestamp with time zone,
    CONSTRAINT mailboxes_channel_known CHECK ((channel IN ('EMAIL', 'SMS'))),
    CONSTRAINT mailboxes_dkim_whole CHECK ((((dkim_key IS NULL) = (dkim_domain IS NULL)) AND ((dkim_key IS NULL) = (dkim_selector IS NULL)) AND ((dkim_key IS NULL) = (dkim_public_key IS NULL)))),
    CONSTRAINT mailboxes_held_for_a_reason CHECK ((((state)::text <> 'HELD'::text) OR (guardrail_hold IS NOT NULL))),
    CONSTRAINT mailboxes_imap_security_known CHECK ((imap_security IN ('NONE', 'STARTTLS', 'TLS'))),
    CONSTRAINT mailboxes_limits_sensible CHECK (((daily_limit >= 1) AND (minimum_gap_seconds >= 0))),
    CONSTRAINT mailboxes_of_channel CHECK (
CASE channel
    WHEN 'EMAIL'::text THEN ((smtp_host IS NOT NULL) AND (smtp_port IS NOT NULL) AND (smtp_security IS NOT NULL) AND (sms_account IS NULL))
    ELSE ((smtp_host IS NULL) AND (imap_host IS NULL) AND (sms_api_url IS NOT NULL) AND (sms_account IS NOT NULL) AND (sms_token IS NOT NULL))
END),
    CONSTRAINT mailboxes_pace_sensible CHECK (((domain_gap_seconds >= 0) AND (ramp_up_start >= 1) AND (ramp_up_step >= 1))),
    CONSTRAINT mailboxes_ramp_up_whole CHECK ((((ramp_up_start IS NULL) = (ramp_up_step IS NULL)) AND ((ramp_up_start IS NULL) = (ramp_up_started_at IS NULL)))),
    CONSTRAINT mailboxes_security_known CHECK ((smtp_security IN ('NONE', 'STARTTLS', 'TLS'))),
    CONSTRAINT mailboxes_state_known CHECK ((state IN ('CONNECTED', 'DISCONNECTED', 'HELD')))
);

COMMENT ON TABLE public.mailboxes IS 'A sending account: SMTP to send, IMAP to watch, and its limits.';

CREATE TABLE public.messages (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    sequence_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    mailbox_id uuid,
    step_id uuid,
    step_run smallint,
    direction character varying(10) NOT NULL,
    channel character varying(10) NOT NULL,
    state character varying(15) NOT NULL,
    classification character varying(20),
    rfc_message_id character varying(400),
    in_reply_to character varying(400),
    "references" jsonb NOT NULL,
    from_address character varying(320),
    to_address character varying(320),
    subject text,
    text text,
    html text,
    reply text,
    token integer NOT NULL,
    tries smallint NOT NULL,
    lease_until timestamp with time zone,
    marked_at timestamp with time zone,
    at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    absence_key character varying(32),
    quoted_text text,
    bounced_at timestamp with time zone,
    complained_at timestamp with time zone,
    delivery character varying(10),
    delivery_at timestamp with time zone,
    reclassified_at timestamp with time zone,
    held_until timestamp with time zone,
    CONSTRAINT messages_classification_known CHECK ((classification IN ('HUMAN_REPLY', 'AUTOMATIC_ANSWER', 'OPT_OUT', 'HARD_BOUNCE', 'DELIVERY_DELAYED', 'DELIVERY_FAILED', 'COMPLAINT', 'NOTICE'))),
    CONSTRAINT messages_delivery_known CHECK ((delivery IN ('DELIVERED', 'FAILED'))),
    CONSTRAINT messages_delivery_with_time CHECK (((delivery IS NULL) = (delivery_at IS NULL))),
    CONSTRAINT messages_direction_known CHECK ((direction IN ('OUTGOING', 'INCOMING'))),
    CONSTRAINT messages_lease_while_claimed CHECK (((lease_until IS NOT NULL) = (state IN ('CLAIMED', 'HANDING_OVER')))),
    CONSTRAINT messages_marked_before_sent CHECK (((state NOT IN ('HANDING_OVER', 'SENT', 'UNCONFIRMED')) OR (marked_at IS NOT NULL))),
    CONSTRAINT messages_outgoing_has_step CHECK ((((direction)::text <> 'OUTGOING'::text) OR (step_id IS NOT NULL))),
    CONSTRAINT messages_state_known CHECK ((state IN ('CLAIMED', 'HANDING_OVER', 'SENT', 'REFUSED', 'DEFERRED', 'UNCONFIRMED', 'DROPPED', 'RECEIVED')))
)
WITH (fillfactor='80');

COMMENT ON TABLE public.messages IS 'One email or SMS, out or in. A claim is the insert of an outgoing one.';

CREATE TABLE public.pending_actions (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    sequence_id uuid NOT NULL,
    step_id uuid NOT NULL,
    kind character varying(20) NOT NULL,
    subject text,
    body text,
    task_kind character varying(10),
    task_title text,
    task_notes text,
    note text,
    due_since timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    closed_by_kind character varying(10),
    closed_by_id uuid,
    outcome character varying(12),
    version integer NOT NULL,
    released_by_kind character varying(10),
    released_by_id uuid,
    assignee_id uuid,
    CONSTRAINT pending_actions_closed_with_outcome CHECK (((closed_at IS NULL) = (outcome IS NULL)))
);

COMMENT ON TABLE public.pending_actions IS 'A manual email or a task that waits for a person.';

CREATE TABLE public.recipient_steps (
    workspace_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    step_id uuid NOT NULL,
    outcome character varying(12),
    done_at timestamp with time zone,
    message_id uuid,
    subject text,
    body text,
    task_title text,
    task_notes text,
    edited_at timestamp with time zone,
    CONSTRAINT recipient_steps_done_at_with_outcome CHECK (((outcome IS NULL) = (done_at IS NULL))),
    CONSTRAINT recipient_steps_outcome_known CHECK ((outcome IN ('CARRIED_OUT', 'SKIPPED')))
);

CREATE TABLE public.recipients (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    sequence_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    mailbox_id uuid,
    external_id character varying(200),
    sort_name character varying(420) NOT NULL,
    version integer NOT NULL,
    status character varying(15) NOT NULL,
    end_reason character varying(20),
    ended_at timestamp with time zone,
    paused_at timestamp with time zone,
    sequence_paused_at timestamp with time zone,
    error_id uuid,
    pending_id uuid,
    scheduled_for timestamp with time zone,
    begun boolean NOT NULL,
    current_step_id uuid,
    step_run smallint NOT NULL,
    start_at timestamp with time zone,
    anchor_at timestamp with time zone,
    wait_ends_at timestamp with time zone,
    wait_left_seconds double precision,
    due_at timestamp with time zone,
    due_kind character varying(20),
    retry_at timestamp with time zone,
    contacted_at timestamp with time zone,
    replied_at timestamp with time zone,
    deleted_at timestamp with time zone,
    enrolled_by_kind character varying(10) NOT NULL,
    enrolled_by_id uuid,
    enrolled_at timestamp with time zone NOT NULL,
    status_changed_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    last_step_id uuid,
    plan_revision integer DEFAULT 0 NOT NULL,
    paced_until timestamp with time zone,
    sms_mailbox_id uuid,
    frequency_capped boolean DEFAULT false NOT NULL,
    left_step_id uuid,
    bounced_step_id uuid,
    CONSTRAINT recipients_due_kind_with_due_at CHECK (((due_at IS NULL) = (due_kind IS NULL))),
    CONSTRAINT recipients_end_reason_known CHECK ((end_reason IN ('COMPLETED', 'REPLIED', 'COMPANY_REPLIED', 'STOPPED', 'UNSUBSCRIBED', 'SUPPRESSED', 'COMPLAINED', 'BOUNCED'))),
    CONSTRAINT recipients_ended_at_with_reason CHECK (((end_reason IS NULL) = (ended_at IS NULL))),
    CONSTRAINT recipients_ended_has_no_timer CHECK ((((end_reason IS NULL) AND (deleted_at IS NULL)) OR ((due_at IS NULL) AND (wait_left_seconds IS NULL)))),
    CONSTRAINT recipients_held_has_no_timer CHECK ((((paused_at IS NULL) AND (sequence_paused_at IS NULL)) OR (due_at IS NULL))),
    CONSTRAINT recipients_status_follows_facts CHECK (((status)::text =
CASE
    WHEN (end_reason IS NOT NULL) THEN
    CASE end_reason
        WHEN 'COMPLETED'::text THEN 'COMPLETED'::text
        WHEN 'REPLIED'::text THEN 'REPLIED'::text
        WHEN 'COMPANY_REPLIED'::text THEN 'STOPPED'::text
        WHEN 'STOPPED'::text THEN 'STOPPED'::text
        WHEN 'UNSUBSCRIBED'::text THEN 'UNSUBSCRIBED'::text
        WHEN 'SUPPRESSED'::text THEN 'UNSUBSCRIBED'::text
        WHEN 'COMPLAINED'::text THEN 'UNSUBSCRIBED'::text
        WHEN 'BOUNCED'::text THEN 'BOUNCED'::text
        ELSE NULL::text
    END
    WHEN ((paused_at IS NOT NULL) OR (sequence_paused_at IS NOT NULL)) THEN 'PAUSED'::text
    WHEN (error_id IS NOT NULL) THEN 'ERROR'::text
    WHEN ((pending_id IS NOT NULL) AND (scheduled_for IS NULL)) THEN 'PENDING_ACTION'::text
    WHEN begun THEN 'IN_PROGRESS'::text
    ELSE 'SCHEDULED'::text
END)),
    CONSTRAINT recipients_status_known CHECK ((status IN ('SCHEDULED', 'IN_PROGRESS', 'PENDING_ACTION', 'PAUSED', 'ERROR', 'BOUNCED', 'COMPLETED', 'REPLIED', 'STOPPED', 'UNSUBSCRIBED'))),
    CONSTRAINT recipients_version_positive CHECK ((version >= 1))
)
WITH (fillfactor='80');

COMMENT ON TABLE public.recipients IS 'One contact''s run through one sequence. The facts are explained in domain/rules/recipient.py.';

CREATE TABLE public.report_tallies (
    workspace_id uuid NOT NULL,
    sequence_id uuid NOT NULL,
    mailbox_id uuid NOT NULL,
    step_id uuid NOT NULL,
    measure character varying(15) NOT NULL,
    quarter timestamp with time zone NOT NULL,
    count bigint NOT NULL,
    CONSTRAINT report_tallies_measure_known CHECK ((measure IN ('REACHED', 'WAITING', 'FAILED', 'CARRIED_OUT', 'SKIPPED', 'REPLIED', 'BOUNCED', 'ENROLLED', 'CONTACTED', 'COMPLETED', 'STOPPED', 'UNSUBSCRIBED')))
);

CREATE TABLE public.sequence_mailboxes (
    workspace_id uuid NOT NULL,
    sequence_id uuid NOT NULL,
    mailbox_id uuid NOT NULL,
    "position" integer NOT NULL
);

CREATE TABLE public.sequences (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    external_id character varying(200),
    name character varying(200) NOT NULL,
    status character varying(10) NOT NULL,
    settings jsonb NOT NULL,
    paused_at timestamp with time zone,
    activated_at timestamp with time zone,
    archived_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    pauses_to_follow timestamp with time zone[],
    settings_changed_at timestamp with time zone,
    revision integer DEFAULT 0 NOT NULL,
    settling boolean DEFAULT false NOT NULL,
    guardrail_hold jsonb,
    guardrail_limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    guardrail_released_at timestamp with time zone,
    CONSTRAINT sequences_paused_at_with_status CHECK (((paused_at IS NOT NULL) = ((status)::text = 'PAUSED'::text))),
    CONSTRAINT sequences_status_known CHECK ((status IN ('DRAFT', 'ACTIVE', 'PAUSED', 'ARCHIVED')))
);

COMMENT ON TABLE public.sequences IS 'An ordered list of steps with settings.';

CREATE TABLE public.step_errors (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    sequence_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    mailbox_id uuid,
    step_id uuid,
    message_id uuid,
    code character varying(40) NOT NULL,
    detail text,
    occurred_at timestamp with time zone NOT NULL,
    resolved_at timestamp with time zone,
    cause_key uuid NOT NULL,
    CONSTRAINT step_errors_code_known CHECK ((code IN ('MAILBOX_DISCONNECTED', 'MAILBOX_CREDENTIALS_REFUSED', 'MAILBOX_SUSPENDED', 'MAILBOX_SERVER_UNREACHABLE', 'MAILBOX_CERTIFICATE_INVALID', 'SENDER_NOT_ALLOWED', 'PROVIDER_LIMIT_REACHED', 'DOMAIN_NOT_AUTHENTICATED', 'EMAIL_MISSING', 'EMAIL_INVALID', 'EMAIL_BOUNCED_BEFORE', 'MAILBOX_FULL', 'RECIPIENT_REFUSED_CONTENT', 'SOFT_BOUNCE_EXHAUSTED', 'PHONE_MISSING', 'PHONE_INVALID', 'VARIABLE_MISSING', 'TEMPLATE_INVALID', 'CONTENT_EMPTY', 'MESSAGE_TOO_LARGE', 'THREAD_PARENT_MISSING', 'WINDOW_NEVER_OPENS', 'NO_MAILBOX', 'DELIVERY_UNCONFIRMED', 'INTEGRATION_FAILED', 'INTERNAL_ERROR')))
);

COMMENT ON TABLE public.step_errors IS 'Why a step failed. What to do about it is data: domain/rules/step_errors.py.';

CREATE TABLE public.steps (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    sequence_id uuid NOT NULL,
    "position" integer NOT NULL,
    kind character varying(20) NOT NULL,
    wait_amount integer NOT NULL,
    wait_unit character varying(15) NOT NULL,
    subject text,
    body text,
    task_kind character varying(10),
    task_title text,
    task_notes text,
    send_as_reply boolean NOT NULL,
    removed_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    placed_revision integer DEFAULT 0 NOT NULL,
    revision integer DEFAULT 0 NOT NULL,
    wait_revision integer DEFAULT 0 NOT NULL,
    CONSTRAINT steps_kind_known CHECK ((kind IN ('AUTOMATED_EMAIL', 'MANUAL_EMAIL', 'TASK', 'SMS'))),
    CONSTRAINT steps_wait_not_negative CHECK ((wait_amount >= 0)),
    CONSTRAINT steps_wait_unit_known CHECK ((wait_unit IN ('MINUTES', 'HOURS', 'DAYS', 'BUSINESS_DAYS')))
);

COMMENT ON TABLE public.steps IS 'One step of a sequence and the wait before it.';

CREATE TABLE public.suppressions (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    kind character varying(10) NOT NULL,
    value character varying(320) NOT NULL,
    reason character varying(40) NOT NULL,
    recipient_id uuid,
    message_id uuid,
    created_at timestamp with time zone NOT NULL,
    lifted_at timestamp with time zone,
    lifted_because text,
    contact_id uuid,
    created_by_id uuid,
    created_by_kind character varying(10) NOT NULL,
    lifted_by_id uuid,
    lifted_by_kind character varying(10),
    note text,
    settling boolean NOT NULL,
    source character varying(10) NOT NULL,
    CONSTRAINT suppressions_contact_with_kind CHECK ((((kind)::text = 'CONTACT'::text) = (contact_id IS NOT NULL))),
    CONSTRAINT suppressions_kind_known CHECK ((kind IN ('ADDRESS', 'DOMAIN', 'PHONE', 'CONTACT', 'ERASED'))),
    CONSTRAINT suppressions_lifted_with_reason CHECK (((lifted_at IS NULL) = (lifted_because IS NULL))),
    CONSTRAINT suppressions_reason_known CHECK ((reason IN ('UNSUBSCRIBED', 'COMPLAINED', 'LISTED'))),
    CONSTRAINT suppressions_source_known CHECK ((source IN ('LINK', 'REPLY', 'COMPLAINT', 'API', 'IMPORT', 'ENGINE')))
);

COMMENT ON TABLE public.suppressions IS 'An address, a domain or a contact that nobody in the workspace may write to.';

CREATE TABLE public.tallies (
    workspace_id uuid NOT NULL,
    sequence_id uuid NOT NULL,
    status character varying(15) NOT NULL,
    stage character varying(15) NOT NULL,
    count bigint NOT NULL,
    mailbox_id uuid NOT NULL,
    CONSTRAINT tallies_status_known CHECK ((status IN ('SCHEDULED', 'IN_PROGRESS', 'PENDING_ACTION', 'PAUSED', 'ERROR', 'BOUNCED', 'COMPLETED', 'REPLIED', 'STOPPED', 'UNSUBSCRIBED')))
);

CREATE TABLE public.test_emails (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    mailbox_id uuid NOT NULL,
    to_address character varying(320) NOT NULL,
    mime bytea,
    state character varying(15) NOT NULL,
    reply text,
    created_at timestamp with time zone NOT NULL,
    marked_at timestamp with time zone,
    CONSTRAINT test_emails_state_known CHECK ((state IN ('QUEUED', 'HANDING_OVER', 'SENT', 'FAILED', 'UNCONFIRMED')))
);

CREATE TABLE public.tortoise_migrations (
    id integer NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE public.tortoise_migrations_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.tortoise_migrations_id_seq OWNED BY public.tortoise_migrations.id;

CREATE TABLE public.users (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    name character varying(200) NOT NULL,
    email character varying(320),
    external_subject character varying(255),
    role character varying(10) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    deactivated_at timestamp with time zone,
    CONSTRAINT users_role_known CHECK ((role IN ('VIEWER', 'MEMBER', 'ADMIN')))
);

COMMENT ON TABLE public.users IS 'A person of the workspace, who signs in elsewhere.';

CREATE TABLE public.watched_folders (
    workspace_id uuid NOT NULL,
    mailbox_id uuid NOT NULL,
    folder text NOT NULL,
    uid_validity bigint NOT NULL,
    last_uid bigint NOT NULL,
    reconciled_at timestamp with time zone NOT NULL
);

CREATE TABLE public.watched_mails (
    workspace_id uuid NOT NULL,
    mailbox_id uuid NOT NULL,
    folder text NOT NULL,
    uid_validity bigint NOT NULL,
    uid bigint NOT NULL,
    noted_at timestamp with time zone NOT NULL,
    problem text
);

CREATE TABLE public.webhook_attempts (
    workspace_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    endpoint_id uuid NOT NULL,
    url text NOT NULL,
    request text NOT NULL,
    status integer,
    problem text,
    answer text,
    took_seconds double precision NOT NULL,
    attempted_at timestamp with time zone NOT NULL
);

CREATE TABLE public.webhook_deliveries (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    recipient_id uuid,
    event_version integer,
    seq bigint,
    type character varying(40) NOT NULL,
    state character varying(10) NOT NULL,
    attempts integer NOT NULL,
    attempts_before integer NOT NULL,
    next_at timestamp with time zone,
    lease_until timestamp with time zone,
    token integer NOT NULL,
    last_status integer,
    last_problem text,
    delivered_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT webhook_deliveries_due_while_pending CHECK (((next_at IS NOT NULL) = ((state)::text = 'PENDING'::text))),
    CONSTRAINT webhook_deliveries_state_known CHECK ((state IN ('PENDING', 'DELIVERED', 'FAILED')))
);

COMMENT ON TABLE public.webhook_deliveries IS 'One event for one endpoint, with its attempts.';

CREATE TABLE public.webhook_endpoints (
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    url character varying(2000) NOT NULL,
    description character varying(200),
    event_types jsonb,
    enabled boolean NOT NULL,
    disabled_at timestamp with time zone,
    disabled_because text,
    secret bytea NOT NULL,
    previous_secret bytea,
    previous_until timestamp with time zone,
    epoch character varying(16) NOT NULL,
    last_seq bigint NOT NULL,
    failures_in_a_row integer NOT NULL,
    failing_since timestamp with time zone,
    removed_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.webhook_endpoints IS 'A subscriber of the feed whose cursor is stored.';

CREATE TABLE public.workspace_events (
    id bigint NOT NULL,
    workspace_id uuid NOT NULL,
    xid bigint DEFAULT ((pg_current_xact_id())::text)::bigint NOT NULL,
    type character varying(40) NOT NULL,
    subject_id uuid NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE public.workspace_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.workspace_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.workspaces (
    id uuid NOT NULL,
    name character varying(200) NOT NULL,
    clock_offset_seconds bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    inbound_secret bytea,
    inbound_secret_before bytea,
    inbound_secret_changed_at timestamp with time zone,
    guardrail_limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    frequency_cap_days integer,
    frequency_cap_messages integer,
    test_mode boolean DEFAULT false NOT NULL,
    CONSTRAINT workspaces_cap_whole CHECK ((((frequency_cap_messages IS NULL) = (frequency_cap_days IS NULL)) AND (frequency_cap_messages >= 1) AND (frequency_cap_days >= 1)))
);

COMMENT ON TABLE public.workspaces IS 'A tenant. Everything else belongs to exactly one.';

ALTER TABLE ONLY public.tortoise_migrations ALTER COLUMN id SET DEFAULT nextval('public.tortoise_migrations_id_seq'::regclass);

INSERT INTO public.tortoise_migrations VALUES (1, 'models', '0001_initial', now());
INSERT INTO public.tortoise_migrations VALUES (2, 'models', '0002_constraints', now());
INSERT INTO public.tortoise_migrations VALUES (3, 'models', '0003_users', now());
INSERT INTO public.tortoise_migrations VALUES (4, 'models', '0004_step_messages', now());
INSERT INTO public.tortoise_migrations VALUES (5, 'models', '0005_followed_pauses', now());
INSERT INTO public.tortoise_migrations VALUES (6, 'models', '0006_scopes', now());
INSERT INTO public.tortoise_migrations VALUES (7, 'models', '0007_causes', now());
INSERT INTO public.tortoise_migrations VALUES (8, 'models', '0008_webhooks', now());
INSERT INTO public.tortoise_migrations VALUES (9, 'models', '0009_inbound', now());
INSERT INTO public.tortoise_migrations VALUES (10, 'models', '0010_released_by', now());
INSERT INTO public.tortoise_migrations VALUES (11, 'models', '0011_suppressions', now());
INSERT INTO public.tortoise_migrations VALUES (12, 'models', '0012_error_groups', now());
INSERT INTO public.tortoise_migrations VALUES (13, 'models', '0013_deeds', now());
INSERT INTO public.tortoise_migrations VALUES (14, 'models', '0014_erasure', now());
INSERT INTO public.tortoise_migrations VALUES (15, 'models', '0015_watching', now());
INSERT INTO public.tortoise_migrations VALUES (16, 'models', '0016_assignees', now());
INSERT INTO public.tortoise_migrations VALUES (17, 'models', '0017_guardrails', now());
INSERT INTO public.tortoise_migrations VALUES (18, 'models', '0018_live_edits', now());
INSERT INTO public.tortoise_migrations VALUES (19, 'models', '0019_turns', now());
INSERT INTO public.tortoise_migrations VALUES (20, 'models', '0020_signing_keys', now());
INSERT INTO public.tortoise_migrations VALUES (21, 'models', '0021_guardrail_samples', now());
INSERT INTO public.tortoise_migrations VALUES (22, 'models', '0022_sms', now());
INSERT INTO public.tortoise_migrations VALUES (23, 'models', '0023_frequency_caps', now());
INSERT INTO public.tortoise_migrations VALUES (24, 'models', '0024_phone_hashes', now());
INSERT INTO public.tortoise_migrations VALUES (25, 'models', '0025_reports', now());
INSERT INTO public.tortoise_migrations VALUES (26, 'models', '0026_test_emails', now());
INSERT INTO public.tortoise_migrations VALUES (27, 'models', '0027_provider_limit', now());
INSERT INTO public.tortoise_migrations VALUES (28, 'models', '0028_bulk_operations', now());
INSERT INTO public.tortoise_migrations VALUES (29, 'models', '0029_workspace_events', now());
INSERT INTO public.tortoise_migrations VALUES (30, 'models', '0030_test_mode', now());
INSERT INTO public.tortoise_migrations VALUES (31, 'models', '0031_more_workspace_events', now());
INSERT INTO public.tortoise_migrations VALUES (32, 'models', '0032_imports', now());
INSERT INTO public.tortoise_migrations VALUES (33, 'models', '0033_reclassified_at', now());
INSERT INTO public.tortoise_migrations VALUES (34, 'models', '0034_grounds', now());

SELECT pg_catalog.setval('public.tortoise_migrations_id_seq', 34, true);

SELECT pg_catalog.setval('public.workspace_events_id_seq', 1, false);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_public_id_key UNIQUE (public_id);

ALTER TABLE ONLY public.audit_entries
    ADD CONSTRAINT audit_entries_pkey PRIMARY KEY (workspace_id, id);

ALTER TABLE ONLY public.bulk_batches
    ADD CONSTRAINT bulk_batches_pkey PRIMARY KEY (workspace_id, operation_id, "position");

ALTER TABLE ONLY public.bulk_operations
    ADD CONSTRAINT bulk_operations_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.bulk_operations
    ADD CONSTRAINT bulk_operations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.bulk_refusals
    ADD CONSTRAINT bulk_refusals_pkey PRIMARY KEY (workspace_id, operation_id, id);

ALTER TABLE ONLY public.contacts
    ADD CONSTRAINT contacts_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.contacts
    ADD CONSTRAINT contacts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.domain_turns
    ADD CONSTRAINT domain_turns_pkey PRIMARY KEY (mailbox_id, domain);

ALTER TABLE ONLY public.error_group_retries
    ADD CONSTRAINT error_group_retries_pkey PRIMARY KEY (workspace_id, cause_key);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (recipient_id, version);

ALTER TABLE ONLY public.feeds
    ADD CONSTRAINT feeds_pkey PRIMARY KEY (workspace_id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (workspace_id, key);

ALTER TABLE ONLY public.import_chunks
    ADD CONSTRAINT import_chunks_pkey PRIMARY KEY (workspace_id, file_id, "position");

ALTER TABLE ONLY public.import_files
    ADD CONSTRAINT import_files_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.import_files
    ADD CONSTRAINT import_files_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.inbound_mails
    ADD CONSTRAINT inbound_mails_pkey PRIMARY KEY (workspace_id, fingerprint);

ALTER TABLE ONLY public.mailbox_watches
    ADD CONSTRAINT mailbox_watches_pkey PRIMARY KEY (mailbox_id);

ALTER TABLE ONLY public.mailboxes
    ADD CONSTRAINT mailboxes_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.mailboxes
    ADD CONSTRAINT mailboxes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_one_per_run UNIQUE (recipient_id, step_id, step_run);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.pending_actions
    ADD CONSTRAINT pending_actions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.recipient_steps
    ADD CONSTRAINT recipient_steps_pkey PRIMARY KEY (recipient_id, step_id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.report_tallies
    ADD CONSTRAINT report_tallies_pkey PRIMARY KEY (sequence_id, mailbox_id, step_id, measure, quarter);

ALTER TABLE ONLY public.sequence_mailboxes
    ADD CONSTRAINT sequence_mailboxes_pkey PRIMARY KEY (sequence_id, mailbox_id);

ALTER TABLE ONLY public.sequences
    ADD CONSTRAINT sequences_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.sequences
    ADD CONSTRAINT sequences_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.step_errors
    ADD CONSTRAINT step_errors_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_one_per_position UNIQUE (sequence_id, "position") DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tallies
    ADD CONSTRAINT tallies_pkey PRIMARY KEY (sequence_id, mailbox_id, status, stage);

ALTER TABLE ONLY public.test_emails
    ADD CONSTRAINT test_emails_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tortoise_migrations
    ADD CONSTRAINT tortoise_migrations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tortoise_migrations
    ADD CONSTRAINT uid_tortoise_mi_app_3803a5 UNIQUE (app, name);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.watched_folders
    ADD CONSTRAINT watched_folders_pkey PRIMARY KEY (mailbox_id, folder);

ALTER TABLE ONLY public.watched_mails
    ADD CONSTRAINT watched_mails_pkey PRIMARY KEY (mailbox_id, folder, uid_validity, uid);

ALTER TABLE ONLY public.webhook_attempts
    ADD CONSTRAINT webhook_attempts_pkey PRIMARY KEY (delivery_id, number);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_one_per_event UNIQUE (endpoint_id, recipient_id, event_version);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_of_workspace UNIQUE (workspace_id, id);

ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspace_events
    ADD CONSTRAINT workspace_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workspaces
    ADD CONSTRAINT workspaces_pkey PRIMARY KEY (id);

CREATE INDEX audit_entries_by_age ON public.audit_entries USING btree (workspace_id, at DESC, id DESC);

CREATE INDEX audit_entries_by_object ON public.audit_entries USING gin (object_ids jsonb_path_ops);

CREATE INDEX bulk_operations_by_age ON public.bulk_operations USING btree (workspace_id, created_at DESC, id DESC);

CREATE INDEX bulk_operations_going_on ON public.bulk_operations USING btree (workspace_id, turned_at) WHERE (ended_at IS NULL);

CREATE INDEX bulk_operations_old ON public.bulk_operations USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX bulk_refusals_by_address ON public.bulk_refusals USING btree (workspace_id, email_hash) WHERE (email_hash IS NOT NULL);

CREATE INDEX bulk_refusals_by_time ON public.bulk_refusals USING btree (operation_id, refused_at, id);

CREATE INDEX bulk_refusals_of_contact ON public.bulk_refusals USING btree (workspace_id, contact_id) WHERE (contact_id IS NOT NULL);

CREATE INDEX contacts_by_age ON public.contacts USING btree (workspace_id, created_at DESC, id DESC);

CREATE INDEX contacts_by_domain ON public.contacts USING btree (workspace_id, split_part((email_key)::text, '@'::text, 2)) WHERE (email_key IS NOT NULL);

CREATE INDEX contacts_by_domain_backwards ON public.contacts USING btree (workspace_id, reverse(split_part((email_key)::text, '@'::text, 2)) text_pattern_ops) WHERE (email_key IS NOT NULL);

CREATE INDEX contacts_email_hash ON public.contacts USING btree (workspace_id, email_hash) WHERE (email_hash IS NOT NULL);

CREATE UNIQUE INDEX contacts_email_key ON public.contacts USING btree (workspace_id, email_key) WHERE (email_key IS NOT NULL);

CREATE UNIQUE INDEX contacts_external_id ON public.contacts USING btree (workspace_id, external_id) WHERE (external_id IS NOT NULL);

CREATE INDEX contacts_phone_hash ON public.contacts USING btree (workspace_id, phone_hash) WHERE (phone_hash IS NOT NULL);

CREATE INDEX contacts_phone_key ON public.contacts USING btree (workspace_id, phone_key) WHERE (phone_key IS NOT NULL);

CREATE INDEX error_group_retries_going_on ON public.error_group_retries USING btree (asked_at) WHERE (ended_at IS NULL);

CREATE INDEX events_by_sequence ON public.events USING btree (sequence_id, seq) WHERE (seq IS NOT NULL);

CREATE UNIQUE INDEX events_numbered ON public.events USING btree (workspace_id, seq) WHERE (seq IS NOT NULL);

CREATE INDEX events_unnumbered ON public.events USING btree (recorded_at) WHERE (seq IS NULL);

CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (created_at);

CREATE INDEX import_files_by_age ON public.import_files USING btree (uploaded_at);

CREATE INDEX inbound_mails_by_message ON public.inbound_mails USING btree (message_id) WHERE (message_id IS NOT NULL);

CREATE UNIQUE INDEX mailboxes_address ON public.mailboxes USING btree (workspace_id, address_key);

CREATE INDEX messages_by_contact ON public.messages USING btree (contact_id, created_at DESC, id DESC);

CREATE INDEX messages_by_recipient ON public.messages USING btree (recipient_id, created_at, id);

CREATE INDEX messages_harmed_of_mailbox ON public.messages USING btree (mailbox_id, COALESCE(marked_at, bounced_at)) WHERE ((bounced_at IS NOT NULL) OR (complained_at IS NOT NULL));

CREATE INDEX messages_harmed_of_sequence ON public.messages USING btree (sequence_id, COALESCE(marked_at, bounced_at)) WHERE ((bounced_at IS NOT NULL) OR (complained_at IS NOT NULL));

CREATE INDEX messages_leases ON public.messages USING btree (lease_until) WHERE (state IN ('CLAIMED', 'HANDING_OVER'));

CREATE INDEX messages_of_the_day ON public.messages USING btree (mailbox_id, marked_at) WHERE (marked_at IS NOT NULL);

CREATE INDEX messages_of_the_week ON public.messages USING btree (sequence_id, marked_at) WHERE ((marked_at IS NOT NULL) AND ((channel)::text = 'EMAIL'::text));

CREATE INDEX messages_provider_id ON public.messages USING btree (workspace_id, "substring"(reply, '[A-Za-z0-9][A-Za-z0-9._=+-]{15,}'::text)) WHERE ((state)::text = 'SENT'::text);

CREATE INDEX messages_reclassified ON public.messages USING btree (workspace_id, reclassified_at) WHERE (reclassified_at IS NOT NULL);

CREATE INDEX messages_rfc_id ON public.messages USING btree (workspace_id, rfc_message_id) WHERE (rfc_message_id IS NOT NULL);

CREATE INDEX messages_unconfirmed ON public.messages USING btree (mailbox_id, marked_at) WHERE ((state)::text = 'UNCONFIRMED'::text);

CREATE INDEX pending_actions_by_recipient ON public.pending_actions USING btree (recipient_id);

CREATE INDEX pending_actions_of_assignee ON public.pending_actions USING btree (workspace_id, assignee_id, due_since, id) WHERE (closed_at IS NULL);

CREATE INDEX pending_actions_open ON public.pending_actions USING btree (workspace_id, due_since, id) WHERE (closed_at IS NULL);

CREATE INDEX recipients_by_contact ON public.recipients USING btree (contact_id, enrolled_at DESC, id DESC);

CREATE INDEX recipients_by_due ON public.recipients USING btree (sequence_id, due_at, id) WHERE (deleted_at IS NULL);

CREATE INDEX recipients_by_due_latest ON public.recipients USING btree (sequence_id, due_at DESC NULLS LAST, id DESC) WHERE (deleted_at IS NULL);

CREATE INDEX recipients_by_name ON public.recipients USING btree (sequence_id, sort_name, id) WHERE (deleted_at IS NULL);

CREATE INDEX recipients_by_sequence ON public.recipients USING btree (sequence_id, enrolled_at DESC, id DESC) WHERE (deleted_at IS NULL);

CREATE INDEX recipients_by_status ON public.recipients USING btree (sequence_id, status, enrolled_at DESC, id DESC) WHERE (deleted_at IS NULL);

CREATE INDEX recipients_by_status_change ON public.recipients USING btree (sequence_id, status_changed_at DESC, id DESC) WHERE (deleted_at IS NULL);

CREATE INDEX recipients_by_update ON public.recipients USING btree (sequence_id, updated_at DESC, id DESC) WHERE (deleted_at IS NULL);

CREATE INDEX recipients_by_workspace ON public.recipients USING btree (workspace_id, enrolled_at DESC, id DESC) WHERE (deleted_at IS NULL);

CREATE INDEX recipients_capped ON public.recipients USING btree (workspace_id, id) WHERE frequency_capped;

CREATE INDEX recipients_due_by_mailbox ON public.recipients USING btree (mailbox_id, due_at, id) WHERE ((due_kind)::text = 'AUTOMATED_EMAIL'::text);

CREATE INDEX recipients_due_by_number ON public.recipients USING btree (sms_mailbox_id, due_at, id) WHERE ((due_kind)::text = 'SMS'::text);

CREATE INDEX recipients_due_by_number_queue ON public.recipients USING btree (sms_mailbox_id, sequence_id, due_at, id) WHERE ((due_kind)::text = 'SMS'::text);

CREATE INDEX recipients_due_by_person ON public.recipients USING btree (due_at, id) WHERE (due_kind IN ('MANUAL_EMAIL', 'TASK'));

CREATE INDEX recipients_due_by_queue ON public.recipients USING btree (mailbox_id, sequence_id, due_at, id) WHERE ((due_kind)::text = 'AUTOMATED_EMAIL'::text);

CREATE UNIQUE INDEX recipients_external_id ON public.recipients USING btree (workspace_id, external_id) WHERE ((external_id IS NOT NULL) AND (deleted_at IS NULL));

CREATE UNIQUE INDEX recipients_one_open ON public.recipients USING btree (sequence_id, contact_id) WHERE ((end_reason IS NULL) AND (deleted_at IS NULL));

CREATE INDEX sequences_by_age ON public.sequences USING btree (workspace_id, created_at DESC, id DESC);

CREATE UNIQUE INDEX sequences_external_id ON public.sequences USING btree (workspace_id, external_id) WHERE (external_id IS NOT NULL);

CREATE INDEX sequences_settling ON public.sequences USING btree (id) WHERE settling;

CREATE INDEX step_errors_by_age ON public.step_errors USING btree (workspace_id, occurred_at DESC, id DESC);

CREATE INDEX step_errors_by_recipient ON public.step_errors USING btree (recipient_id, occurred_at DESC, id DESC);

CREATE INDEX step_errors_open ON public.step_errors USING btree (workspace_id, cause_key, id) WHERE (resolved_at IS NULL);

CREATE INDEX suppressions_by_age ON public.suppressions USING btree (workspace_id, created_at DESC, id DESC);

CREATE UNIQUE INDEX suppressions_in_force ON public.suppressions USING btree (workspace_id, kind, value, reason, source, message_id, recipient_id) NULLS NOT DISTINCT WHERE (lifted_at IS NULL);

CREATE INDEX suppressions_of_recipient ON public.suppressions USING btree (recipient_id) WHERE (recipient_id IS NOT NULL);

CREATE INDEX suppressions_settling ON public.suppressions USING btree (id) WHERE settling;

CREATE INDEX test_emails_of_the_day ON public.test_emails USING btree (mailbox_id, marked_at) WHERE (marked_at IS NOT NULL);

CREATE INDEX test_emails_under_way ON public.test_emails USING btree (mailbox_id, created_at) WHERE (state IN ('QUEUED', 'HANDING_OVER'));

CREATE INDEX users_by_name ON public.users USING btree (workspace_id, lower((name)::text), id);

CREATE UNIQUE INDEX users_external_subject ON public.users USING btree (workspace_id, external_subject) WHERE (external_subject IS NOT NULL);

CREATE INDEX watched_mails_by_age ON public.watched_mails USING btree (noted_at);

CREATE INDEX webhook_deliveries_by_age ON public.webhook_deliveries USING btree (endpoint_id, created_at DESC, id DESC);

CREATE INDEX webhook_deliveries_due ON public.webhook_deliveries USING btree (endpoint_id, next_at) WHERE ((state)::text = 'PENDING'::text);

CREATE INDEX webhook_deliveries_in_hand ON public.webhook_deliveries USING btree (endpoint_id) WHERE (lease_until IS NOT NULL);

CREATE INDEX webhook_deliveries_old ON public.webhook_deliveries USING btree (created_at) WHERE ((state)::text <> 'PENDING'::text);

CREATE INDEX webhook_endpoints_by_age ON public.webhook_endpoints USING btree (workspace_id, created_at, id) WHERE (removed_at IS NULL);

CREATE INDEX workspace_events_in_order ON public.workspace_events USING btree (workspace_id, xid, id);

CREATE TRIGGER audit_entries_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_entries FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER tells_bulk_ended_15 AFTER UPDATE OF ended_at ON public.bulk_operations FOR EACH ROW WHEN (((old.ended_at IS NULL) AND (new.ended_at IS NOT NULL))) EXECUTE FUNCTION public.tell_workspace('bulk.ended');

CREATE TRIGGER tells_bulk_progressed_14 AFTER UPDATE ON public.bulk_operations FOR EACH ROW WHEN (((new.ended_at IS NULL) AND ((old.done <> new.done) OR (old.matched <> new.matched) OR ((old.status)::text <> (new.status)::text)))) EXECUTE FUNCTION public.tell_workspace('bulk.progressed');

CREATE TRIGGER tells_bulk_started_13 AFTER INSERT ON public.bulk_operations FOR EACH ROW EXECUTE FUNCTION public.tell_workspace('bulk.started');

CREATE TRIGGER tells_contact_changed_9 AFTER UPDATE OF updated_at, out_of_office_until, email_bounced_at ON public.contacts FOR EACH ROW WHEN (((new.erased_at IS NULL) AND ((old.updated_at IS DISTINCT FROM new.updated_at) OR (old.out_of_office_until IS DISTINCT FROM new.out_of_office_until) OR (old.email_bounced_at IS DISTINCT FROM new.email_bounced_at)))) EXECUTE FUNCTION public.tell_workspace('contact.changed');

CREATE TRIGGER tells_contact_created_7 AFTER INSERT ON public.contacts FOR EACH ROW EXECUTE FUNCTION public.tell_workspace('contact.created');

CREATE TRIGGER tells_contact_erased_8 AFTER UPDATE OF erased_at ON public.contacts FOR EACH ROW WHEN (((old.erased_at IS NULL) AND (new.erased_at IS NOT NULL))) EXECUTE FUNCTION public.tell_workspace('contact.erased');

CREATE TRIGGER tells_mailbox_changed_2 AFTER UPDATE OF updated_at ON public.mailboxes FOR EACH ROW WHEN (((old.updated_at <> new.updated_at) AND ((old.state)::text = (new.state)::text))) EXECUTE FUNCTION public.tell_workspace('mailbox.changed');

CREATE TRIGGER tells_mailbox_connected_0 AFTER INSERT ON public.mailboxes FOR EACH ROW EXECUTE FUNCTION public.tell_workspace('mailbox.connected');

CREATE TRIGGER tells_mailbox_reading AFTER UPDATE OF problem_code ON public.mailbox_watches FOR EACH ROW WHEN (((old.problem_code)::text IS DISTINCT FROM (new.problem_code)::text)) EXECUTE FUNCTION public.tell_reading_of_mailbox();

CREATE TRIGGER tells_mailbox_state_changed_1 AFTER UPDATE OF state ON public.mailboxes FOR EACH ROW WHEN (((old.state)::text <> (new.state)::text)) EXECUTE FUNCTION public.tell_workspace('mailbox.state_changed');

CREATE TRIGGER tells_pending_changed_12 AFTER UPDATE OF version ON public.pending_actions FOR EACH ROW WHEN (((old.version <> new.version) AND (NOT (old.closed_at IS DISTINCT FROM new.closed_at)))) EXECUTE FUNCTION public.tell_workspace('pending.changed');

CREATE TRIGGER tells_pending_closed_11 AFTER UPDATE OF closed_at ON public.pending_actions FOR EACH ROW WHEN (((old.closed_at IS NULL) AND (new.closed_at IS NOT NULL))) EXECUTE FUNCTION public.tell_workspace('pending.closed');

CREATE TRIGGER tells_pending_created_10 AFTER INSERT ON public.pending_actions FOR EACH ROW EXECUTE FUNCTION public.tell_workspace('pending.created');

CREATE TRIGGER tells_sequence_changed_5 AFTER UPDATE OF updated_at, revision, guardrail_hold ON public.sequences FOR EACH ROW WHEN ((((old.status)::text = (new.status)::text) AND ((old.updated_at IS DISTINCT FROM new.updated_at) OR (old.revision IS DISTINCT FROM new.revision) OR (old.guardrail_hold IS DISTINCT FROM new.guardrail_hold)))) EXECUTE FUNCTION public.tell_workspace('sequence.changed');

CREATE TRIGGER tells_sequence_created_3 AFTER INSERT ON public.sequences FOR EACH ROW EXECUTE FUNCTION public.tell_workspace('sequence.created');

CREATE TRIGGER tells_sequence_deleted_6 AFTER DELETE ON public.sequences FOR EACH ROW EXECUTE FUNCTION public.tell_workspace('sequence.deleted');

CREATE TRIGGER tells_sequence_status_changed_4 AFTER UPDATE OF status ON public.sequences FOR EACH ROW WHEN (((old.status)::text <> (new.status)::text)) EXECUTE FUNCTION public.tell_workspace('sequence.status_changed');

CREATE TRIGGER tells_suppression_created AFTER INSERT ON public.suppressions FOR EACH ROW EXECUTE FUNCTION public.tell_workspace('suppression.created');

CREATE TRIGGER tells_suppression_erased AFTER UPDATE OF kind ON public.suppressions FOR EACH ROW WHEN (((old.kind)::text <> (new.kind)::text)) EXECUTE FUNCTION public.tell_workspace('suppression.erased');

CREATE TRIGGER tells_suppression_gone AFTER DELETE ON public.suppressions FOR EACH ROW EXECUTE FUNCTION public.tell_workspace('suppression.erased');

CREATE TRIGGER tells_suppression_lifted AFTER UPDATE OF lifted_at ON public.suppressions FOR EACH ROW WHEN (((old.lifted_at IS NULL) AND (new.lifted_at IS NOT NULL))) EXECUTE FUNCTION public.tell_workspace('suppression.lifted');

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_replaces FOREIGN KEY (workspace_id, replaces_id) REFERENCES public.api_keys(workspace_id, id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.audit_entries
    ADD CONSTRAINT audit_entries_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.bulk_batches
    ADD CONSTRAINT bulk_batches_operation FOREIGN KEY (workspace_id, operation_id) REFERENCES public.bulk_operations(workspace_id, id);

ALTER TABLE ONLY public.bulk_operations
    ADD CONSTRAINT bulk_operations_file FOREIGN KEY (workspace_id, file_id) REFERENCES public.import_files(workspace_id, id);

ALTER TABLE ONLY public.bulk_operations
    ADD CONSTRAINT bulk_operations_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.bulk_operations
    ADD CONSTRAINT bulk_operations_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.bulk_operations
    ADD CONSTRAINT bulk_operations_step FOREIGN KEY (workspace_id, step_id) REFERENCES public.steps(workspace_id, id);

ALTER TABLE ONLY public.bulk_operations
    ADD CONSTRAINT bulk_operations_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.bulk_refusals
    ADD CONSTRAINT bulk_refusals_contact FOREIGN KEY (workspace_id, contact_id) REFERENCES public.contacts(workspace_id, id);

ALTER TABLE ONLY public.bulk_refusals
    ADD CONSTRAINT bulk_refusals_operation FOREIGN KEY (workspace_id, operation_id) REFERENCES public.bulk_operations(workspace_id, id);

ALTER TABLE ONLY public.bulk_refusals
    ADD CONSTRAINT bulk_refusals_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES public.recipients(workspace_id, id);

ALTER TABLE ONLY public.contacts
    ADD CONSTRAINT contacts_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.domain_turns
    ADD CONSTRAINT domain_turns_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.error_group_retries
    ADD CONSTRAINT error_group_retries_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES public.recipients(workspace_id, id);

ALTER TABLE ONLY public.feeds
    ADD CONSTRAINT feeds_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.import_chunks
    ADD CONSTRAINT import_chunks_file FOREIGN KEY (workspace_id, file_id) REFERENCES public.import_files(workspace_id, id);

ALTER TABLE ONLY public.import_files
    ADD CONSTRAINT import_files_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.inbound_mails
    ADD CONSTRAINT inbound_mails_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.inbound_mails
    ADD CONSTRAINT inbound_mails_message FOREIGN KEY (workspace_id, message_id) REFERENCES public.messages(workspace_id, id);

ALTER TABLE ONLY public.inbound_mails
    ADD CONSTRAINT inbound_mails_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.mailbox_watches
    ADD CONSTRAINT mailbox_watches_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.mailboxes
    ADD CONSTRAINT mailboxes_last_sequence FOREIGN KEY (workspace_id, last_sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.mailboxes
    ADD CONSTRAINT mailboxes_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_contact FOREIGN KEY (workspace_id, contact_id) REFERENCES public.contacts(workspace_id, id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES public.recipients(workspace_id, id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_step FOREIGN KEY (workspace_id, step_id) REFERENCES public.steps(workspace_id, id);

ALTER TABLE ONLY public.pending_actions
    ADD CONSTRAINT pending_actions_assignee FOREIGN KEY (workspace_id, assignee_id) REFERENCES public.users(workspace_id, id);

ALTER TABLE ONLY public.pending_actions
    ADD CONSTRAINT pending_actions_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES public.recipients(workspace_id, id);

ALTER TABLE ONLY public.pending_actions
    ADD CONSTRAINT pending_actions_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.pending_actions
    ADD CONSTRAINT pending_actions_step FOREIGN KEY (workspace_id, step_id) REFERENCES public.steps(workspace_id, id);

ALTER TABLE ONLY public.recipient_steps
    ADD CONSTRAINT recipient_steps_message FOREIGN KEY (workspace_id, message_id) REFERENCES public.messages(workspace_id, id);

ALTER TABLE ONLY public.recipient_steps
    ADD CONSTRAINT recipient_steps_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES public.recipients(workspace_id, id);

ALTER TABLE ONLY public.recipient_steps
    ADD CONSTRAINT recipient_steps_step FOREIGN KEY (workspace_id, step_id) REFERENCES public.steps(workspace_id, id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_bounced_step FOREIGN KEY (workspace_id, bounced_step_id) REFERENCES public.steps(workspace_id, id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_contact FOREIGN KEY (workspace_id, contact_id) REFERENCES public.contacts(workspace_id, id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_current_step FOREIGN KEY (workspace_id, current_step_id) REFERENCES public.steps(workspace_id, id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_last_step FOREIGN KEY (workspace_id, last_step_id) REFERENCES public.steps(workspace_id, id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_left_step FOREIGN KEY (workspace_id, left_step_id) REFERENCES public.steps(workspace_id, id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.recipients
    ADD CONSTRAINT recipients_sms_mailbox FOREIGN KEY (workspace_id, sms_mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.report_tallies
    ADD CONSTRAINT report_tallies_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.sequence_mailboxes
    ADD CONSTRAINT sequence_mailboxes_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.sequence_mailboxes
    ADD CONSTRAINT sequence_mailboxes_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.sequences
    ADD CONSTRAINT sequences_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.step_errors
    ADD CONSTRAINT step_errors_contact FOREIGN KEY (workspace_id, contact_id) REFERENCES public.contacts(workspace_id, id);

ALTER TABLE ONLY public.step_errors
    ADD CONSTRAINT step_errors_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.step_errors
    ADD CONSTRAINT step_errors_message FOREIGN KEY (workspace_id, message_id) REFERENCES public.messages(workspace_id, id);

ALTER TABLE ONLY public.step_errors
    ADD CONSTRAINT step_errors_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES public.recipients(workspace_id, id);

ALTER TABLE ONLY public.step_errors
    ADD CONSTRAINT step_errors_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.step_errors
    ADD CONSTRAINT step_errors_step FOREIGN KEY (workspace_id, step_id) REFERENCES public.steps(workspace_id, id);

ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.suppressions
    ADD CONSTRAINT suppressions_contact FOREIGN KEY (workspace_id, contact_id) REFERENCES public.contacts(workspace_id, id);

ALTER TABLE ONLY public.suppressions
    ADD CONSTRAINT suppressions_message FOREIGN KEY (workspace_id, message_id) REFERENCES public.messages(workspace_id, id);

ALTER TABLE ONLY public.suppressions
    ADD CONSTRAINT suppressions_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES public.recipients(workspace_id, id);

ALTER TABLE ONLY public.suppressions
    ADD CONSTRAINT suppressions_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.tallies
    ADD CONSTRAINT tallies_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES public.sequences(workspace_id, id);

ALTER TABLE ONLY public.test_emails
    ADD CONSTRAINT test_emails_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.watched_folders
    ADD CONSTRAINT watched_folders_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.watched_mails
    ADD CONSTRAINT watched_mails_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES public.mailboxes(workspace_id, id);

ALTER TABLE ONLY public.webhook_attempts
    ADD CONSTRAINT webhook_attempts_delivery FOREIGN KEY (workspace_id, delivery_id) REFERENCES public.webhook_deliveries(workspace_id, id);

ALTER TABLE ONLY public.webhook_attempts
    ADD CONSTRAINT webhook_attempts_endpoint FOREIGN KEY (workspace_id, endpoint_id) REFERENCES public.webhook_endpoints(workspace_id, id);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_endpoint FOREIGN KEY (workspace_id, endpoint_id) REFERENCES public.webhook_endpoints(workspace_id, id);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES public.recipients(workspace_id, id);

ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.workspace_events
    ADD CONSTRAINT workspace_events_workspace FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);
