/**
 * The names of Web Crypto as global types, which @peculiar/x509's declarations take from the DOM library. Node has the
 * same shapes in its own module; the DOM library would bring a browser's globals into every file.
 */
import type { webcrypto } from 'node:crypto';

declare global {
  type BufferSource = webcrypto.BufferSource;
  type KeyUsage = webcrypto.KeyUsage;
  type AlgorithmIdentifier = webcrypto.AlgorithmIdentifier;
  type Algorithm = webcrypto.Algorithm;
  type EcKeyGenParams = webcrypto.EcKeyGenParams;
  type EcKeyImportParams = webcrypto.EcKeyImportParams;
  type EcdsaParams = webcrypto.EcdsaParams;
  type RsaHashedImportParams = webcrypto.RsaHashedImportParams;
  type CryptoKeyPair = webcrypto.CryptoKeyPair;
  type Crypto = webcrypto.Crypto;
  type CryptoKey = webcrypto.CryptoKey;
}
