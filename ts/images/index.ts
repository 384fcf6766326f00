/** Pictures: read, decoded and measured in one way by all who take them. */
export {
  type DecodedImage,
  type DecodeOptions,
  decodeImage,
  hashPixels,
  withImage,
  withPixels,
} from './decode.ts'
export { DEFAULT_MAX_PIXELS, type EncodedImage, imageDataUri, pictureInText, storableImage, withEncoded } from './source.ts'
