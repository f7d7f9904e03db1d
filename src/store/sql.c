#include "store/db.h"

/* Where both engines say the same. */
#define BOTH(text)                                                                                 \
    {                                                                                              \
        text, text                                                                                 \
    }

/* Lists come in pages, so that no list has to fit into memory: ?1 is the last id seen. */
#define PAGE       " LIMIT 200"
#define PAGE_BLOBS " LIMIT 16"

/* Values reach SQL through parameters only. A key, reference value or endorsement lives as long as
 * its manifest (ON DELETE CASCADE). */
const struct store_statement store_statements[SQL_COUNT] = {
    [SQL_VERSION] = {"PRAGMA user_version", "SELECT version FROM store_state"},
    [SQL_CHANGE] = {"PRAGMA data_version", "SELECT change FROM store_state"},
    [SQL_SAVEPOINT] = BOTH("SAVEPOINT one"),
    [SQL_SAVEPOINT_RELEASE] = BOTH("RELEASE SAVEPOINT one"),
    [SQL_SAVEPOINT_ROLLBACK] = BOTH("ROLLBACK TO SAVEPOINT one"),

    [SQL_MANIFEST_PUT] =
        BOTH("INSERT INTO manifests(name, digest, profile, not_before, not_after, signer, blob)"
             " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id"),
    [SQL_MANIFEST_DELETE] = BOTH("DELETE FROM manifests WHERE name = ?1 RETURNING id"),
    [SQL_MANIFEST_DIGEST] = BOTH("SELECT id, digest, signer FROM manifests WHERE name = ?1"),
    [SQL_MANIFEST_LIST] = BOTH("SELECT id, name, signer, blob FROM manifests"
                               " WHERE id > ?1 ORDER BY id" PAGE_BLOBS),

    [SQL_KEY_CONFLICT] =
        BOTH("SELECT k.spki, k.class_id, m.name, k.label, k.technology FROM attest_keys k"
             " LEFT JOIN manifests m ON m.id = k.manifest WHERE k.instance = ?1 AND k.kind = ?2"),
    [SQL_KEY_PUT] =
        BOTH("INSERT INTO attest_keys(manifest, instance, spki, public_area, class_id, vendor,"
             " model, label, kind, technology) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
    [SQL_KEY_SAME] =
        BOTH("SELECT 1 FROM attest_keys WHERE manifest = ?1 AND instance = ?2 AND kind = ?3"
             " AND class_id = ?4"),
    [SQL_KEY_REPLACE] = BOTH("DELETE FROM attest_keys WHERE manifest IS NULL AND instance = ?1"),
    [SQL_KEY_FIND] =
        BOTH("SELECT k.spki, k.public_area, k.class_id, k.vendor, k.model, m.not_before,"
             " m.not_after, k.technology FROM attest_keys k"
             " LEFT JOIN manifests m ON m.id = k.manifest"
             " WHERE k.instance = ?1 AND k.kind = 3 ORDER BY length(k.public_area) DESC, k.id"),
    [SQL_KEY_DELETE] = BOTH("DELETE FROM attest_keys WHERE id = ?1 RETURNING id"),
    [SQL_KEY_IS_OF_MANIFEST] = BOTH("SELECT m.name FROM attest_keys k JOIN manifests m"
                                    " ON m.id = k.manifest WHERE k.id = ?1"),
    [SQL_KEY_DELETE_OF_MANIFEST] = BOTH("DELETE FROM attest_keys WHERE manifest = ?1"),
    [SQL_KEY_LIST] =
        BOTH("SELECT k.id, m.name, k.instance, k.spki, k.public_area, k.class_id,"
             " k.vendor, k.model, k.label, m.not_after, k.kind, k.technology, m.profile"
             " FROM attest_keys k LEFT JOIN manifests m ON m.id = k.manifest"
             " WHERE k.id > ?1 ORDER BY k.id" PAGE),
    [SQL_KEY_SET_TECHNOLOGY] = BOTH("UPDATE attest_keys SET technology = ?2 WHERE id = ?1"),

    [SQL_REFERENCE_PUT] = BOTH("INSERT INTO reference_triples(manifest, class_id, environment,"
                               " measurements) VALUES(?1, ?2, ?3, ?4)"),
    [SQL_REFERENCE_FIND] =
        BOTH("SELECT r.environment, r.measurements, m.name, m.not_before, m.not_after, m.signer"
             " FROM reference_triples r JOIN manifests m ON m.id = r.manifest"
             " WHERE r.class_id = ?1 ORDER BY r.id"),
    [SQL_REFERENCE_DELETE_OF_MANIFEST] = BOTH("DELETE FROM reference_triples WHERE manifest = ?1"),
    [SQL_REFERENCE_LIST] = BOTH("SELECT r.id, m.name, r.class_id, r.measurements, m.not_after"
                                " FROM reference_triples r JOIN manifests m ON m.id = r.manifest"
                                " WHERE r.id > ?1 ORDER BY r.id" PAGE),

    [SQL_ENDORSEMENT_PUT] = BOTH("INSERT INTO endorsement_triples(manifest, kind, class_id, item)"
                                 " VALUES(?1, ?2, ?3, ?4)"),
    [SQL_ENDORSEMENT_FIND] =
        BOTH("SELECT e.kind, e.item, m.name, m.not_before, m.not_after, m.signer"
             " FROM endorsement_triples e JOIN manifests m ON m.id = e.manifest"
             " WHERE e.class_id = ?1 ORDER BY e.id"),
    [SQL_ENDORSEMENT_DELETE_OF_MANIFEST] =
        BOTH("DELETE FROM endorsement_triples WHERE manifest = ?1"),
    [SQL_ENDORSEMENT_LIST] =
        BOTH("SELECT e.id, m.name, e.class_id, e.kind, e.item, m.not_after"
             " FROM endorsement_triples e JOIN manifests m ON m.id = e.manifest"
             " WHERE e.id > ?1 ORDER BY e.id" PAGE),

    [SQL_ANCHOR_GET_CLASS] = BOTH("SELECT class_id, vendor, model FROM anchors"
                                  " WHERE purpose = ?1 AND der = ?2"),
    /* For the class that certificates below it stand for: of attestation keys (1) and of
     * confidential computing (4), by hand first. */
    [SQL_ANCHOR_CLASS] =
        BOTH("SELECT class_id, vendor, model, CAST(NULL AS BIGINT), CAST(NULL AS BIGINT),"
             " 0 AS brought, id FROM anchors WHERE der = ?1 AND purpose IN (1, 4)"
             " UNION ALL SELECT a.class_id, a.vendor, a.model, m.not_before, m.not_after, 1, a.id"
             " FROM manifest_anchors a JOIN manifests m ON m.id = a.manifest WHERE a.der = ?1"
             " ORDER BY 6, 7"),
    [SQL_ANCHOR_PUT] = BOTH("INSERT INTO anchors(purpose, der, class_id, vendor, model)"
                            " VALUES(?1, ?2, ?3, ?4, ?5)"),
    [SQL_ANCHOR_DELETE] = BOTH("DELETE FROM anchors WHERE id = ?1 RETURNING id"),
    [SQL_ANCHOR_LIST] = BOTH("SELECT id, purpose, der, class_id, vendor, model FROM anchors"
                             " WHERE id > ?1 ORDER BY id" PAGE),
    [SQL_ANCHOR_OF_PURPOSE] = BOTH("SELECT der FROM anchors WHERE purpose = ?1 ORDER BY id"),

    [SQL_TEE_ANCHORS] =
        BOTH("SELECT der, CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), 0 AS brought, id FROM anchors"
             " WHERE purpose = 4 UNION ALL SELECT a.der, m.not_before, m.not_after, 1, a.id"
             " FROM manifest_anchors a JOIN manifests m ON m.id = a.manifest ORDER BY 4, 5"),
    [SQL_MANIFEST_ANCHOR_PUT] = BOTH("INSERT INTO manifest_anchors(manifest, der, class_id, vendor,"
                                     " model) VALUES(?1, ?2, ?3, ?4, ?5)"),
    [SQL_MANIFEST_ANCHOR_DELETE_OF_MANIFEST] =
        BOTH("DELETE FROM manifest_anchors WHERE manifest = ?1"),
    [SQL_MANIFEST_ANCHOR_LIST] =
        BOTH("SELECT a.id, m.name, a.der, a.class_id, a.vendor, a.model, m.not_after"
             " FROM manifest_anchors a JOIN manifests m ON m.id = a.manifest"
             " WHERE a.id > ?1 ORDER BY a.id" PAGE),

    [SQL_COLLATERAL_FIND] = BOTH("SELECT id, not_before, not_after, document FROM collateral"
                                 " WHERE kind = ?1 AND subject = ?2"),
    [SQL_COLLATERAL_PUT] =
        BOTH("INSERT INTO collateral(kind, subject, fetched, not_before, not_after, document)"
             " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(kind, subject) DO UPDATE SET"
             " fetched = ?3, not_before = ?4, not_after = ?5, document = ?6"),
    [SQL_COLLATERAL_DELETE] = BOTH("DELETE FROM collateral WHERE id = ?1 RETURNING id"),
    [SQL_COLLATERAL_LIST] =
        BOTH("SELECT id, kind, subject, fetched, not_before, not_after, document FROM collateral"
             " WHERE id > ?1 ORDER BY id" PAGE_BLOBS),

    [SQL_CRL_FIND] = BOTH("SELECT id, this_update, der FROM crls"
                          " WHERE issuer = ?1 AND key_id = ?2 AND scope = ?3"),
    [SQL_CRL_PUT] = {"INSERT INTO crls(issuer, key_id, scope, this_update, next_update, der)"
                     " VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
                     " ON CONFLICT(issuer, key_id, scope) DO UPDATE SET"
                     " this_update = ?4, next_update = ?5, der = ?6",
                     /* Names may be longer than an entry of an index. */
                     "INSERT INTO crls(issuer, key_id, scope, this_update, next_update, der)"
                     " VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
                     " ON CONFLICT(sha256(issuer), sha256(key_id), sha256(scope)) DO UPDATE SET"
                     " this_update = ?4, next_update = ?5, der = ?6"},
    [SQL_CRL_DELETE] = BOTH("DELETE FROM crls WHERE id = ?1 RETURNING id"),
    [SQL_CRL_LIST] = BOTH("SELECT id, issuer, this_update, next_update, der FROM crls"
                          " WHERE id > ?1 ORDER BY id" PAGE_BLOBS),

    [SQL_SIGNING_KEY_PUT] =
        BOTH("INSERT INTO signing_keys(kid, use_from, private_key) VALUES(?1, ?2, ?3)"),
    [SQL_SIGNING_KEY_FIND] = BOTH("SELECT id FROM signing_keys WHERE kid = ?1"),
    [SQL_SIGNING_KEY_DELETE] = BOTH("DELETE FROM signing_keys WHERE kid = ?1 RETURNING id"),
    [SQL_SIGNING_KEY_LIST] = BOTH("SELECT id, kid, use_from, private_key FROM signing_keys"
                                  " WHERE id > ?1 ORDER BY id" PAGE),

    [SQL_HAS_TRUST] = BOTH("SELECT EXISTS(SELECT 1 FROM attest_keys WHERE kind = 3)"
                           " OR EXISTS(SELECT 1 FROM anchors WHERE purpose IN (1, 4))"
                           " OR EXISTS(SELECT 1 FROM manifest_anchors)"),

    /* Sessions of a SQLite store are in memory (sessions.c). session_room counts them, so that the
     * limit holds whatever is opened at the same time; an unlogged table is empty after a crash. */
    [SQL_SESSION_OPEN] = {NULL, "WITH room AS (INSERT INTO session_room(one, open) VALUES(1, 1)"
                                " ON CONFLICT(one) DO UPDATE SET open = session_room.open + 1"
                                " WHERE session_room.open < ?4::bigint RETURNING open)"
                                " INSERT INTO sessions(id, state, nonce, expires)"
                                " SELECT ?1::text, 1, ?2::bytea, ?3::bigint FROM room RETURNING 1"},
    [SQL_SESSION_GET] = {NULL, "SELECT state, nonce, expires, media_type, evidence, result"
                               " FROM sessions WHERE id = ?1 AND expires >= ?2"},
    [SQL_SESSION_TAKE] = {NULL, "UPDATE sessions SET state = 2"
                                " WHERE id = ?1 AND expires >= ?2 AND state = 1"
                                " RETURNING state, nonce, expires, media_type, evidence, result"},
    [SQL_SESSION_FINISH] = {NULL, "UPDATE sessions SET state = ?2, media_type = ?3, evidence = ?4,"
                                  " result = ?5 WHERE id = ?1 AND state IN (1, 2) RETURNING 1"},
    [SQL_SESSION_REMOVE] = {NULL, "WITH gone AS (DELETE FROM sessions WHERE id = ?1 RETURNING 1),"
                                  " room AS (UPDATE session_room"
                                  " SET open = open - (SELECT count(*) FROM gone))"
                                  " SELECT 1 FROM gone"},
    /* Another sweep at the same time takes what this one does not. */
    [SQL_SESSION_SWEEP] =
        {NULL, "WITH old AS (SELECT id FROM sessions WHERE expires < ?1 FOR UPDATE SKIP LOCKED),"
               " gone AS (DELETE FROM sessions WHERE id IN (SELECT id FROM old) RETURNING 1),"
               " room AS (UPDATE session_room SET open = open - (SELECT count(*) FROM gone))"
               " SELECT (SELECT count(*) FROM sessions) - (SELECT count(*) FROM gone)"},
};
