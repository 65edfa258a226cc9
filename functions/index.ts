/** Entry of the function app: each import registers functions. The catch-all is named last on purpose: see there. */
import './http/catch-all.ts';
