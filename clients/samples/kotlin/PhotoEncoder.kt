// Embedding a photograph on Android.
//
// Sample, not built in CI and not run on a phone. Needs API 28 (ImageDecoder) and
//   implementation("com.microsoft.onnxruntime:onnxruntime-android:1.27.0")

package lorgnette.sample

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.ColorSpace
import android.graphics.ImageDecoder
import java.io.File
import java.nio.ByteBuffer

class PhotoEncoder(model: File) : AutoCloseable {
    private val environment = OrtEnvironment.getEnvironment()

    // The CPU provider, on purpose: it is the one whose resize is Pillow's. Accelerators take
    // net.onnx behind pre.onnx instead; see README.md.
    private val session: OrtSession = environment.createSession(
        model.path,
        OrtSession.SessionOptions().apply { setIntraOpNumThreads(2) },
    )

    /** The unit row of a photograph. Call it off the main thread. */
    fun encode(photo: File): FloatArray = encode(decode(photo))

    /** bitmap: ARGB_8888, sRGB, upright, opaque. */
    fun encode(bitmap: Bitmap): FloatArray {
        val shape = longArrayOf(bitmap.height.toLong(), bitmap.width.toLong(), 3)
        OnnxTensor.createTensor(environment, rgb(bitmap), shape, OnnxJavaType.UINT8).use { input ->
            session.run(mapOf("image_u8" to input)).use { found ->
                @Suppress("UNCHECKED_CAST")
                return (found.get(0).value as Array<FloatArray>)[0]
            }
        }
    }

    override fun close() = session.close()
}

/** ImageDecoder turns by EXIF and converts profiles to the colour space asked for. */
fun decode(photo: File): Bitmap {
    val bitmap = ImageDecoder.decodeBitmap(ImageDecoder.createSource(photo)) { decoder, info, _ ->
        decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
        decoder.setTargetColorSpace(ColorSpace.get(ColorSpace.Named.SRGB))
        // A 50-megapixel photo need not be decoded whole: halve while the shorter side stays >= 1024.
        var sample = 1
        while (minOf(info.size.width, info.size.height) / (2 * sample) >= 1024) sample *= 2
        decoder.setTargetSampleSize(sample)
    }
    return if (bitmap.hasAlpha()) overWhite(bitmap) else bitmap
}

private fun overWhite(bitmap: Bitmap): Bitmap {
    val opaque = Bitmap.createBitmap(bitmap.width, bitmap.height, Bitmap.Config.ARGB_8888)
    Canvas(opaque).apply {
        drawColor(Color.WHITE)
        drawBitmap(bitmap, 0f, 0f, null)
    }
    return opaque
}

private fun rgb(bitmap: Bitmap): ByteBuffer {
    val pixels = IntArray(bitmap.width * bitmap.height)
    bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    val buffer = ByteBuffer.allocateDirect(3 * pixels.size)
    for (pixel in pixels) {
        buffer.put((pixel shr 16).toByte()).put((pixel shr 8).toByte()).put(pixel.toByte())
    }
    buffer.rewind()
    return buffer
}
