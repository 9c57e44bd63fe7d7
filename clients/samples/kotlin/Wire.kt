// The wire of lorgnette for the JVM and Android: a unit row as base64 of little-endian float16.
//
// Sample, not built in CI. Plain Kotlin without Android; needs java.util.Base64 (Android API 26).

package lorgnette.sample

import java.util.Base64

/** Nearest float16, ties to even, as IEEE 754 and numpy round; the low 16 bits of the result. */
fun toHalf(value: Float): Int {
    val bits = java.lang.Float.floatToRawIntBits(value)
    val sign = (bits ushr 16) and 0x8000
    val magnitude = bits and 0x7fffffff
    return sign or when {
        magnitude > 0x7f800000 -> 0x7e00 // not a number
        magnitude >= 0x477ff000 -> 0x7c00 // 65520 and more round to infinity
        magnitude >= 0x38800000 -> { // normal in float16
            val rebased = magnitude - 0x38000000
            (rebased + 0x0fff + ((rebased ushr 13) and 1)) ushr 13
        }
        magnitude < 0x33000000 -> 0 // below half of the smallest
        else -> {
            val shift = 126 - (magnitude ushr 23)
            val mantissa = (magnitude and 0x7fffff) or 0x800000
            val half = mantissa ushr shift
            val rest = mantissa and ((1 shl shift) - 1)
            val middle = 1 shl (shift - 1)
            if (rest > middle || (rest == middle && (half and 1) == 1)) half + 1 else half
        }
    }
}

/** Refuses what the server would refuse: another length, numbers that are none, no unit row. */
fun packRow(row: FloatArray, dim: Int): String {
    require(row.size == dim) { "expected a row of $dim numbers, found ${row.size}" }
    val norm = Math.sqrt(row.fold(0.0) { sum, x -> sum + x.toDouble() * x })
    require(Math.abs(norm - 1) <= 1e-2) { "expected a unit row, found length $norm" }
    val bytes = ByteArray(2 * dim)
    for (index in row.indices) {
        val half = toHalf(row[index])
        bytes[2 * index] = half.toByte()
        bytes[2 * index + 1] = (half ushr 8).toByte()
    }
    return Base64.getEncoder().encodeToString(bytes)
}

/** The body of POST /search. space and student: from the manifest, whose patterns need no escape. */
fun searchBody(row: FloatArray, space: String, student: String, dim: Int, k: Int): String =
    """{"space":"$space","student":"$student","vectors":{"dtype":"f16","data":"${packRow(row, dim)}"},"k":$k}"""

/** For the check by hand in README.md: float32 numbers on standard input, a line each. */
fun main() {
    val row = generateSequence { readLine() }.map { it.trim().toFloat() }.toList().toFloatArray()
    println(packRow(row, row.size))
}
