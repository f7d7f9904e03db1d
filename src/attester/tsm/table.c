#include "attester/tsm/table.h"

#include <string.h>

#include "core/reader.h"

#define GUID_LEN 16
#define ROW_LEN  24

bool atls_tsm_table_trim(struct atls_bytes room, struct atls_bytes *out)
{
    static const uint8_t end[ROW_LEN] = {0};
    struct atls_reader r = atls_reader_init(room);
    size_t last = 0;

    for (;;) {
        struct atls_bytes guid;
        uint32_t offset, len;

        if (!atls_get_bytes(&r, GUID_LEN, &guid) || !atls_get_u32le(&r, &offset) ||
            !atls_get_u32le(&r, &len))
            return false;
        if (memcmp(guid.ptr, end, ROW_LEN) == 0) /* the whole row */
            break;
        if (offset > room.len || len > room.len - offset)
            return false;
        if (offset + len > last)
            last = offset + len;
    }
    *out = atls_bytes_of(room.ptr, last > r.pos ? last : 0);
    return true;
}
